//! Makes this crate of the first section of docs/from-socket-io.md, which is a whole program.

#[path = "../page.rs"]
mod page;

fn main() {
    let sections = page::rust_of("../../..");
    let (_, program) = sections
        .iter()
        .find(|(heading, _)| heading == "Get started")
        .expect("the page shows how to get started");
    page::write("program.rs", program);
}
