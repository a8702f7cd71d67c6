//! The text of a `spin.toml`, version 2: which keys exist and what their values look like, as Spin
//! 4.1 accepts them. Reads one file; what the entries mean together is `plan`'s business.

use std::{collections::BTreeMap, fmt, path::Path};

use anyhow::{Context, Result, bail};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::names::{ComponentId, DependencyName, VariableName};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    #[serde(rename = "spin_manifest_version")]
    pub _version: u32,
    pub application: Application,
    #[serde(default)]
    pub variables: BTreeMap<VariableName, Variable>,
    #[serde(default, rename = "trigger")]
    pub triggers: Triggers,
    #[serde(default, rename = "component")]
    pub components: BTreeMap<ComponentId, Component>,
}

impl Manifest {
    /// Reads and checks one manifest. Errors name the file, the line and the key.
    pub fn read(path: &Path) -> Result<Manifest> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the manifest {}", path.display()))?;
        Manifest::parse(&text).with_context(|| format!("the manifest {} is wrong", path.display()))
    }

    pub fn parse(text: &str) -> Result<Manifest> {
        // The version first: every other complaint about an older manifest would mislead.
        #[derive(Deserialize)]
        struct VersionOnly {
            spin_manifest_version: Option<toml::Value>,
        }
        let version: VersionOnly = toml::from_str(text)?;
        match version.spin_manifest_version {
            Some(toml::Value::Integer(2)) => {}
            Some(other) => bail!("spin_manifest_version is {other}: only version 2 is supported"),
            None => bail!(
                "the key spin_manifest_version is missing: begin with `spin_manifest_version = 2`"
            ),
        }
        Ok(toml::from_str(text)?)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    pub name: String,
    #[serde(default)]
    pub version: String,
    #[serde(default, rename = "description")]
    pub _description: String,
    #[serde(default, rename = "authors")]
    pub _authors: Vec<String>,
    #[serde(default, rename = "targets")]
    pub _targets: IgnoredAny,
    #[serde(default, rename = "trigger")]
    pub trigger: BTreeMap<String, toml::Table>,
    #[serde(default, rename = "tool")]
    pub _tool: BTreeMap<String, toml::Table>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    #[serde(default, rename = "description")]
    pub _description: Option<String>,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub default: Option<String>,
    /// Means that the value must never be shown. This host shows none.
    #[serde(default)]
    pub secret: bool,
}

/// The `[[trigger.…]]` tables. Only HTTP triggers are understood; of the others, the kind.
#[derive(Debug, Default)]
pub struct Triggers {
    pub http: Vec<HttpTrigger>,
    pub others: Vec<String>,
}

impl<'de> Deserialize<'de> for Triggers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Kinds;
        impl<'de> Visitor<'de> for Kinds {
            type Value = Triggers;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("tables like [[trigger.http]]")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Triggers, A::Error> {
                let mut triggers = Triggers::default();
                while let Some(kind) = map.next_key::<String>()? {
                    if kind == "http" {
                        triggers.http = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        triggers.others.push(kind);
                    }
                }
                Ok(triggers)
            }
        }
        deserializer.deserialize_map(Kinds)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTrigger {
    #[serde(default)]
    pub id: String,
    pub route: Route,
    #[serde(default)]
    pub component: Option<ComponentRef>,
    #[serde(default)]
    pub static_response: Option<StaticResponse>,
    #[serde(default)]
    pub executor: Option<Executor>,
    #[serde(default)]
    pub dependencies: BTreeMap<String, Vec<Dependency>>,
}

/// `route = "/path"`, or `route = { private = true }`.
#[derive(Clone, Debug)]
pub enum Route {
    Public(String),
    Private,
}

impl<'de> Deserialize<'de> for Route {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Endpoint {
            private: bool,
        }
        match string_or_table::<D, Endpoint>(deserializer, "a route, or { private = true }")? {
            StringOrTable::String(route) => Ok(Route::Public(route)),
            StringOrTable::Table(Endpoint { private: true }) => Ok(Route::Private),
            StringOrTable::Table(_) => Err(de::Error::custom(
                "route must be a string pattern or `{ private = true }`",
            )),
        }
    }
}

/// `component = "id"`, or the component's table in place.
#[derive(Debug)]
pub enum ComponentRef {
    Id(ComponentId),
    Inline(Box<Component>),
}

impl<'de> Deserialize<'de> for ComponentRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match string_or_table(deserializer, "a component's id, or its table")? {
            StringOrTable::String(id) => Ok(ComponentRef::Id(
                ComponentId::try_from(id).map_err(de::Error::custom)?,
            )),
            StringOrTable::Table(component) => Ok(ComponentRef::Inline(Box::new(component))),
        }
    }
}

/// An answer the host gives without a component.
#[derive(Clone, Debug, Deserialize)]
pub struct StaticResponse {
    #[serde(default)]
    pub status_code: Option<u16>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Executor {
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    pub source: Source,
    #[serde(default, rename = "description")]
    pub _description: String,
    #[serde(default)]
    pub variables: BTreeMap<VariableName, String>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(default)]
    pub files: Vec<FilesMount>,
    #[serde(default)]
    pub exclude_files: Vec<String>,
    #[serde(default)]
    pub allowed_http_hosts: Vec<String>,
    #[serde(default)]
    pub allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    pub key_value_stores: Vec<String>,
    #[serde(default)]
    pub sqlite_databases: Vec<String>,
    #[serde(default)]
    pub ai_models: Vec<String>,
    #[serde(default, rename = "targets")]
    pub _targets: Option<IgnoredAny>,
    #[serde(default)]
    pub build: Option<Build>,
    #[serde(default, rename = "tool")]
    pub _tool: BTreeMap<String, toml::Table>,
    #[serde(default)]
    pub dependencies_inherit_configuration: Option<bool>,
    #[serde(default)]
    pub dependencies: BTreeMap<DependencyName, Dependency>,
    #[serde(default, rename = "profile")]
    pub _profile: BTreeMap<String, IgnoredAny>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    pub command: Commands,
    #[serde(default)]
    pub workdir: Option<String>,
    #[serde(default)]
    pub watch: Vec<String>,
}

/// One line for the shell, or several to be run in turn.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a command, or a list of commands")]
pub enum Commands {
    One(String),
    Several(Vec<String>),
}

/// Where a component's Wasm comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, relative to the manifest.
    Local(String),
    /// Something to fetch, which this host does not do; its description.
    Remote(String),
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Remote {
            url: Option<String>,
            digest: Option<String>,
            registry: Option<String>,
            package: Option<String>,
            version: Option<String>,
        }
        let expected = "a path, { url, digest } or { registry, package, version }";
        match string_or_table::<D, Remote>(deserializer, expected)? {
            StringOrTable::String(path) => Ok(Source::Local(path)),
            StringOrTable::Table(Remote {
                url: Some(url),
                digest: Some(_),
                registry: None,
                package: None,
                version: None,
            }) => Ok(Source::Remote(url)),
            StringOrTable::Table(Remote {
                package: Some(package),
                version: Some(version),
                url: None,
                digest: None,
                ..
            }) => Ok(Source::Remote(format!("{package}@{version}"))),
            StringOrTable::Table(_) => Err(de::Error::custom(format!("expected {expected}"))),
        }
    }
}

#[derive(Clone, Debug)]
pub enum FilesMount {
    /// Files by name or glob, at the same place in the guest.
    Pattern(String),
    /// A file or directory, at another place in the guest.
    Placement { source: String, destination: String },
}

impl<'de> Deserialize<'de> for FilesMount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Placement {
            source: String,
            destination: String,
        }
        match string_or_table(deserializer, "a glob, or { source, destination }")? {
            StringOrTable::String(pattern) => Ok(FilesMount::Pattern(pattern)),
            StringOrTable::Table(Placement {
                source,
                destination,
            }) => Ok(FilesMount::Placement {
                source,
                destination,
            }),
        }
    }
}

/// What satisfies an import of a component, or stands before a trigger as middleware.
#[derive(Clone, Debug)]
pub struct Dependency {
    pub source: DependencySource,
    pub export: Option<String>,
    pub inherit_configuration: Option<Inherit>,
}

#[derive(Clone, Debug)]
pub enum DependencySource {
    Component(ComponentId),
    Path(String),
    /// Something to fetch, which this host does not do; its description.
    Remote(String),
}

/// `inherit_configuration`: everything or nothing, or some capabilities by name.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged, expecting = "expected true, false or a list of capabilities")]
pub enum Inherit {
    All(bool),
    Some(Vec<String>),
}

impl<'de> Deserialize<'de> for Dependency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            component: Option<ComponentId>,
            path: Option<String>,
            url: Option<String>,
            digest: Option<String>,
            version: Option<String>,
            registry: Option<String>,
            package: Option<String>,
            export: Option<String>,
            inherit_configuration: Option<Inherit>,
        }
        let expected = "one of { component }, { path }, { url, digest } or { version, package }";
        let table = match string_or_table::<D, Table>(deserializer, expected)? {
            StringOrTable::String(version) => {
                return Ok(Dependency {
                    source: DependencySource::Remote(format!("version {version} of a package")),
                    export: None,
                    inherit_configuration: None,
                });
            }
            StringOrTable::Table(table) => table,
        };
        let remote = table.digest.is_some() || table.registry.is_some() || table.package.is_some();
        let source = match (table.component, table.path, table.url, table.version) {
            (Some(id), None, None, None) if !remote => DependencySource::Component(id),
            (None, Some(path), None, None) if !remote => DependencySource::Path(path),
            (None, None, Some(url), None) => DependencySource::Remote(url),
            (None, None, None, Some(version)) => DependencySource::Remote(format!(
                "{}@{version}",
                table.package.unwrap_or_else(|| "a package".to_owned())
            )),
            _ => return Err(de::Error::custom(format!("a dependency is {expected}"))),
        };
        Ok(Dependency {
            source,
            export: table.export,
            inherit_configuration: table.inherit_configuration,
        })
    }
}

enum StringOrTable<T> {
    String(String),
    Table(T),
}

/// Serde's untagged enums say only that nothing matched; this keeps the table's own complaint,
/// with its key and line.
fn string_or_table<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<StringOrTable<T>, D::Error> {
    struct Either<T>(&'static str, std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
        type Value = StringOrTable<T>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(StringOrTable::String(text.to_owned()))
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(StringOrTable::Table)
        }
    }
    deserializer.deserialize_any(Either(expected, std::marker::PhantomData))
}
