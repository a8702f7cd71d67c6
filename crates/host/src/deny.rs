//! Takes capabilities away from dependencies and middleware that do not inherit them.
//!
//! A composed component has one import of, say, `spin:sqlite/sqlite` for all its parts. So a
//! part that may not have it gets the import renamed before it is composed, and behind the new
//! name stands a host that refuses, with the answers Spin gives.

use anyhow::{Context, Result};
use wasmparser::{BinaryReader, ComponentImportSectionReader};
use wasmtime::{
    Engine,
    component::{
        Component, Linker, LinkerInstance, ResourceType, Val,
        types::{ComponentFunc, ComponentItem},
    },
};

use crate::manifest::Inherit;

/// Put before the name of an import that is denied.
const DENIED: &str = "denied-";

/// The capabilities that can be inherited, and the interfaces each consists of.
const CAPABILITIES: [(&str, &[&str]); 7] = [
    ("ai_models", &["fermyon:spin/llm"]),
    (
        "allowed_outbound_hosts",
        &[
            "fermyon:spin/http",
            "fermyon:spin/mysql",
            "fermyon:spin/postgres",
            "fermyon:spin/redis",
            "fermyon:spin/mqtt",
            "spin:mqtt/mqtt",
            "spin:mysql/mysql",
            "spin:postgres/postgres",
            "spin:redis/redis",
            "wasi:http/client",
            "wasi:http/outgoing-handler",
            // Not wasi:sockets: on this host nobody has any.
        ],
    ),
    ("environment", &["wasi:cli/environment"]),
    ("files", &["wasi:filesystem/preopens"]),
    (
        "key_value_stores",
        &[
            "fermyon:spin/key-value",
            "spin:key-value/key-value",
            "wasi:keyvalue/store",
        ],
    ),
    (
        "sqlite_databases",
        &["fermyon:spin/sqlite", "spin:sqlite/sqlite"],
    ),
    (
        "variables",
        &[
            "fermyon:spin/config",
            "fermyon:spin/variables",
            "spin:variables/variables",
            "wasi:config/store",
        ],
    ),
];

/// Whether an import is a capability that is not inherited.
fn is_denied(import: &str, inherit: &Inherit) -> bool {
    let interface = import.split('@').next().unwrap_or(import);
    CAPABILITIES
        .iter()
        .filter(|(capability, _)| match inherit {
            Inherit::All(all) => !all,
            Inherit::Some(some) => !some.iter().any(|s| s == capability),
        })
        .any(|(_, interfaces)| interfaces.contains(&interface))
}

/// The capabilities that these imports need, of those that a dependency cannot do without: what Rust's standard library
/// imports in passing (the environment, files) is answered without them.
pub fn needed(imports: &[String]) -> Vec<&'static str> {
    const IN_PASSING: [&str; 2] = ["environment", "files"];
    let interface = |import: &String| import.split('@').next().unwrap_or(import).to_owned();
    let imports: Vec<String> = imports.iter().map(interface).collect();
    let is_needed = |interfaces: &[&str]| {
        interfaces
            .iter()
            .any(|one| imports.iter().any(|import| import == one))
    };
    CAPABILITIES
        .iter()
        .filter(|(name, interfaces)| !IN_PASSING.contains(name) && is_needed(interfaces))
        .map(|(name, _)| *name)
        .collect()
}

/// The id of a component's import section in the binary format.
const IMPORT_SECTION: u8 = 10;
/// A component begins with a magic number and a version.
const PREAMBLE_BYTES: usize = 8;

/// Whether this is the name of an import behind which stands a host that refuses.
pub fn is_refused(import: &str) -> bool {
    import.starts_with(DENIED)
}

/// Renames the imports of a component that it must not have.
pub fn deny(component: &[u8], inherit: &Inherit) -> Result<Vec<u8>> {
    let mut out = component[..PREAMBLE_BYTES].to_vec();
    let mut position = PREAMBLE_BYTES;
    while position < component.len() {
        let id = component[position];
        let mut reader = BinaryReader::new(&component[position + 1..], 0);
        let size = reader.read_var_u32()? as usize;
        let start = position + 1 + reader.current_position();
        let content = component
            .get(start..start + size)
            .context("a section is longer than the file")?;
        if id == IMPORT_SECTION {
            let content = rename_imports(content, inherit)?;
            out.push(id);
            push_leb128(&mut out, content.len());
            out.extend_from_slice(&content);
        } else {
            out.extend_from_slice(&component[position..start + size]);
        }
        position = start + size;
    }
    Ok(out)
}

fn rename_imports(section: &[u8], inherit: &Inherit) -> Result<Vec<u8>> {
    let imports = ComponentImportSectionReader::new(BinaryReader::new(section, 0))?;
    let mut out = Vec::with_capacity(section.len() + 64);
    push_leb128(&mut out, imports.count() as usize);
    let items: Vec<_> = imports.into_iter_with_offsets().collect::<Result<_, _>>()?;
    for (index, (offset, import)) in items.iter().enumerate() {
        let start = usize::try_from(*offset)?;
        let end = match items.get(index + 1) {
            Some((next, _)) => usize::try_from(*next)?,
            None => section.len(),
        };
        let name = import.name.name;
        if !is_denied(name, inherit) {
            out.extend_from_slice(&section[start..end]);
            continue;
        }
        // A discriminant byte, the name with its length, then what is not changed.
        let mut reader = BinaryReader::new(&section[start + 1..end], 0);
        reader.read_string()?;
        let after_name = start + 1 + reader.current_position();
        out.push(section[start]);
        push_leb128(&mut out, DENIED.len() + name.len());
        out.extend_from_slice(DENIED.as_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&section[after_name..end]);
    }
    Ok(out)
}

fn push_leb128(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Gives the denied imports of a composed component a host that refuses.
pub fn link_denied<T: Send + 'static>(
    linker: &mut Linker<T>,
    engine: &Engine,
    component: &Component,
) -> wasmtime::Result<()> {
    let component_type = component.component_type();
    let instances = || {
        component_type
            .imports(engine)
            .filter_map(|(name, item)| match item.ty {
                ComponentItem::ComponentInstance(instance) => Some((name, instance)),
                _ => None,
            })
    };
    let mut others = Vec::new();
    for (_, instance) in instances().filter(|(name, _)| !name.starts_with(DENIED)) {
        for (_, item) in instance.exports(engine) {
            if let ComponentItem::Resource(resource) = item.ty {
                others.push(resource);
            }
        }
    }
    for (name, instance) in instances() {
        let Some(interface) = name.strip_prefix(DENIED) else {
            continue;
        };
        let mut denied = linker.instance(name)?;
        for (export, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(ty) => {
                    link_refusal(&mut denied, interface, export, &ty)?
                }
                // A resource of another interface is what that one says it is.
                ComponentItem::Resource(resource) if !others.contains(&resource) => {
                    denied.resource(export, ResourceType::host::<Denied>(), |_, _| Ok(()))?
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The type of resources that can never be had.
struct Denied;

fn link_refusal<T: Send + 'static>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &str,
    function: &str,
    ty: &ComponentFunc,
) -> wasmtime::Result<()> {
    let what = interface.split('@').next().unwrap_or(interface).to_owned();
    let name = function.to_owned();
    let answer =
        move |arguments: &[Val], results: &mut [Val]| match refusal(&what, &name, arguments) {
            Some(value) => {
                if let Some(result) = results.first_mut() {
                    *result = value;
                }
                Ok(())
            }
            None => Err(wasmtime::format_err!("{what:?} is not permitted ({name})")),
        };
    if ty.async_() {
        let answer = std::sync::Arc::new(answer);
        instance.func_new_concurrent(function, move |_, _, arguments, results| {
            let answer = answer.clone();
            Box::pin(async move { answer(arguments, results) })
        })
    } else {
        instance.func_new(function, move |_, _, arguments, results| {
            answer(arguments, results)
        })
    }
}

/// What Spin answers a part that asks for what it may not have; none where it has no answer and
/// the part fails.
fn refusal(interface: &str, function: &str, arguments: &[Val]) -> Option<Val> {
    let failure = |case: &str, payload: Option<Val>| {
        let error = Val::Variant(case.to_owned(), payload.map(Box::new));
        Some(Val::Result(Err(Some(Box::new(error)))))
    };
    match (interface, function) {
        ("spin:sqlite/sqlite", "[static]connection.open" | "[static]connection.open-async")
        | ("spin:key-value/key-value", "[static]store.open") => failure("access-denied", None),
        ("spin:variables/variables", "get") => failure("undefined", arguments.first().cloned()),
        ("wasi:http/client", "send") | ("wasi:http/outgoing-handler", "handle") => {
            let text = Val::String(format!("{interface:?} is not permitted"));
            failure("internal-error", Some(Val::Option(Some(Box::new(text)))))
        }
        ("wasi:cli/environment", "get-environment" | "get-arguments")
        | ("wasi:filesystem/preopens", "get-directories") => Some(Val::List(Vec::new())),
        ("wasi:cli/environment", "initial-cwd" | "get-initial-cwd") => Some(Val::Option(None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_component_needs_is_known_by_its_imports() {
        let imports = ["wasi:cli/environment@0.2.6", "spin:sqlite/sqlite@3.1.0"];
        assert_eq!(needed(&imports.map(str::to_owned)), ["sqlite_databases"]);
    }

    #[test]
    fn only_what_is_inherited_is_kept() {
        let none = Inherit::All(false);
        let sqlite = Inherit::Some(vec!["sqlite_databases".to_owned()]);
        assert!(is_denied("spin:sqlite/sqlite@3.1.0", &none));
        assert!(!is_denied("spin:sqlite/sqlite@3.1.0", &sqlite));
        assert!(is_denied("wasi:http/client@0.3.0", &sqlite));
        assert!(!is_denied("wasi:http/client@0.3.0", &Inherit::All(true)));
        assert!(!is_denied("wasi:clocks/monotonic-clock@0.3.0", &none));
    }
}
