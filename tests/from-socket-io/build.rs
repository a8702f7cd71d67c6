//! Makes an app of each section of docs/from-socket-io.md, but of the first, which is a whole program.

mod page;

fn main() {
    let sections = page::rust_of("../..");
    let mut apps = String::new();
    let mut arms = String::new();
    for (heading, code) in sections.iter().skip(1) {
        let name = heading.to_lowercase().replace(' ', "_");
        apps += &format!(
            "#[allow(unused_imports)]\nmod {name} {{\nuse parlour_sdk::*;\nuse serde::Deserialize;\nuse std::time::Duration;\n\n\
             pub fn app(io: &mut Io) {{\n{code}}}\n}}\n\n"
        );
        arms += &format!("{heading:?} => {name}::app(io),\n");
    }
    let choice = format!(
        "/// Registers the app of a section.\nfn app_of(section: &str, io: &mut parlour_sdk::Io) {{\nmatch section {{\n{arms}\
         other => panic!(\"the page has no section {{other:?}}\"),\n}}\n}}\n"
    );
    page::write("apps.rs", &(apps + &choice));
}
