//! An app: the namespaces that a component serves, each with its own handlers.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use regex_lite::Regex;

use crate::namespace::Namespace;

/// What a name begins with that is a pattern, here as in the router's variable `namespaces`.
const PATTERN: char = '~';

thread_local! {
    /// Patterns take some time to compile, and the app is registered for every batch.
    static KNOWN: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
}

/// Socket.IO's `io`, to which an app gives its handlers.
///
/// Handlers that are given to `io` itself are those of `/`, like Socket.IO's; or, if the app names no namespace by
/// [`of`](Self::of), those of whatever namespace `spin.toml` makes of this component.
#[derive(Debug)]
pub struct Io {
    own: Namespace,
    others: Vec<(String, Namespace)>,
    /// The app has named `/`.
    has_named_own: bool,
}

impl Io {
    pub(crate) fn new(asked: &str) -> Self {
        Self {
            own: Namespace::new(asked, false),
            others: Vec::new(),
            has_named_own: false,
        }
    }

    /// The namespace of that name, with its own handlers, rooms and order. A name that begins with `~` is a
    /// pattern, a regular expression for whole names, as in the router's variable `namespaces`; each namespace
    /// that fits is one of its own, and exact names come first.
    ///
    /// # Panics
    /// If the pattern is no regular expression.
    pub fn of(&mut self, name: &str) -> &mut Namespace {
        let name = match name.starts_with(['/', PATTERN]) {
            true => name.to_owned(),
            false => format!("/{name}"),
        };
        if name == "/" {
            self.has_named_own = true;
            return &mut self.own;
        }
        let known = self.others.iter().position(|(known, _)| *known == name);
        let place = known.unwrap_or_else(|| {
            let asked = &self.own.name;
            let namespace = Namespace::new(asked, !fits(&name, asked));
            self.others.push((name, namespace));
            self.others.len() - 1
        });
        &mut self.others[place].1
    }

    /// The namespace that the batch is of.
    pub(crate) fn into_asked(self) -> Namespace {
        let asked = self.own.name.clone();
        let has_own = self.has_named_own || !self.own.is_empty();
        if self.others.is_empty() || (asked == "/" && has_own) {
            return self.own;
        }
        let own = has_own.then_some("/");
        let others = self.others.iter().map(|(name, _)| name.as_str());
        let names: Vec<&str> = own.into_iter().chain(others).collect();
        let names = names.join(", ");
        let (exact, patterns): (Vec<_>, Vec<_>) = self
            .others
            .into_iter()
            .filter(|(_, namespace)| !namespace.is_other)
            .partition(|(name, _)| *name == asked);
        let mut found = exact.into_iter().chain(patterns);
        match found.next() {
            Some((_, namespace)) => namespace,
            None => Namespace::missing(&asked, names),
        }
    }
}

impl Deref for Io {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.own
    }
}

impl DerefMut for Io {
    fn deref_mut(&mut self) -> &mut Namespace {
        &mut self.own
    }
}

fn fits(name: &str, asked: &str) -> bool {
    let Some(pattern) = name.strip_prefix(PATTERN) else {
        return name == asked;
    };
    KNOWN.with_borrow_mut(|known| {
        let whole = known.entry(pattern.to_owned()).or_insert_with(|| {
            Regex::new(&format!("^(?:{pattern})$"))
                .unwrap_or_else(|error| panic!("io.of({name:?}) is no regular expression: {error}"))
        });
        whole.is_match(asked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, app: fn(&mut Io)) -> Namespace {
        let mut io = Io::new(name);
        app(&mut io);
        io.into_asked()
    }

    fn events(namespace: &Namespace) -> Vec<&str> {
        namespace.events.keys().map(String::as_str).collect()
    }

    #[test]
    fn an_app_that_names_no_namespace_is_whatever_it_is_asked_as() {
        let app = |io: &mut Io| io.on("own", async || {});
        for name in ["/", "/orders"] {
            assert_eq!(events(&asked(name, app)), ["own"]);
            assert_eq!(asked(name, app).name(), name);
        }
    }

    #[test]
    fn each_namespace_of_an_app_has_its_own_handlers() {
        fn app(io: &mut Io) {
            io.on("own", async || {});
            io.of("/admin").on("kick", async || {});
            io.of("admin").on("ban", async || {});
            io.of("~/room-\\d+").on("numbered", async || {});
            io.of("~/room-.*").on("named", async || {});
            io.of("/room-7").on("seven", async || {});
        }
        for (name, own) in [
            ("/", &["own"][..]),
            ("/admin", &["ban", "kick"]),
            ("/room-1", &["numbered"]),
            ("/room-x", &["named"]),
            ("/room-7", &["seven"]),
        ] {
            let namespace = asked(name, app);
            assert_eq!(events(&namespace), own, "{name}");
            assert_eq!(namespace.names_instead, None);
        }
        let missing = asked("/x/room-1", app);
        let names = "/, /admin, ~/room-\\d+, ~/room-.*, /room-7";
        assert_eq!(missing.names_instead.as_deref(), Some(names));
        assert!(missing.is_empty());
    }

    #[test]
    fn the_namespace_slash_is_there_if_it_is_named_or_has_handlers() {
        let without = asked("/", |io| _ = io.of("/a"));
        assert_eq!(without.names_instead.as_deref(), Some("/a"));
        let named = asked("/", |io| {
            io.of("/a");
            io.of("/");
        });
        assert_eq!(named.names_instead, None);
    }

    #[test]
    #[should_panic(expected = "is no regular expression")]
    fn a_pattern_that_is_none_is_named() {
        asked("/", |io| _ = io.of("~/("));
    }
}
