//! How a client came: the HTTP request that opened its connection, and what it said to the namespace.

use std::borrow::Cow;

use parlour_protocol::relay;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::value::RawValue;

use crate::{
    decode::{decode, decode_text},
    error::{Error, Result},
};

/// The HTTP request a client opened its connection with, and what it said to this namespace.
///
/// Written as JSON it is Socket.IO's `socket.handshake`: `{headers, time, address, xdomain, secure,
/// issued, url, query, auth}`.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// Path and query.
    pub url: String,
    /// In the order received, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The peer's IP address.
    pub address: String,
    /// Whether the client came over TLS.
    pub secure: bool,
    /// Milliseconds since 1970.
    pub time: u64,
    auth: Option<Box<RawValue>>,
}

fn owned((name, value): &(Cow<'_, str>, Cow<'_, str>)) -> (String, String) {
    (name.to_string(), value.to_string())
}

impl Handshake {
    pub(crate) fn new(handshake: &relay::Handshake<'_>, auth: Option<&RawValue>) -> Self {
        Self {
            url: handshake.url.to_string(),
            headers: handshake.headers.iter().map(owned).collect(),
            address: handshake.address.to_string(),
            secure: handshake.secure,
            time: handshake.time,
            auth: auth.map(RawValue::to_owned),
        }
    }

    /// The client's `auth` object, which is `{}` if it sent none. The error says in words what is wrong with it, and
    /// where.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T> {
        let auth = match &self.auth {
            Some(auth) => decode(auth),
            None => decode_text("{}"),
        };
        auth.map_err(|problem| Error::bad_request(format!("`auth`: {problem}")))
    }

    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The parameters of the query, decoded, in their order.
    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes())
    }

    /// As it was [kept](Self::kept).
    pub(crate) fn of_kept(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Kept {
            url: String,
            headers: Vec<(String, String)>,
            address: String,
            secure: bool,
            time: u64,
            auth: Option<Box<RawValue>>,
        }
        let kept: Kept = serde_json::from_str(json).ok()?;
        Some(Self {
            url: kept.url,
            headers: kept.headers,
            address: kept.address,
            secure: kept.secure,
            time: kept.time,
            auth: kept.auth,
        })
    }

    /// As it is kept for later events.
    pub(crate) fn kept(&self) -> impl Serialize + '_ {
        #[derive(Serialize)]
        struct Kept<'a> {
            url: &'a str,
            headers: &'a [(String, String)],
            address: &'a str,
            secure: bool,
            time: u64,
            auth: Option<&'a RawValue>,
        }
        Kept {
            url: &self.url,
            headers: &self.headers,
            address: &self.address,
            secure: self.secure,
            time: self.time,
            auth: self.auth.as_deref(),
        }
    }
}

/// What has one name, in the order in which names came first.
fn grouped<'a, V>(pairs: impl Iterator<Item = (&'a str, V)>) -> Vec<(&'a str, Vec<V>)> {
    let mut groups: Vec<(&str, Vec<V>)> = Vec::new();
    for (name, value) in pairs {
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => groups.push((name, vec![value])),
        }
    }
    groups
}

/// Headers as Node.js has them: those of one name are joined.
struct Headers<'a>(&'a [(String, String)]);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = self.0.iter().map(|(name, value)| (&**name, &**value));
        serializer.collect_map(grouped(pairs).into_iter().map(|(name, values)| {
            let between = if name == "cookie" { "; " } else { ", " };
            (name, values.join(between))
        }))
    }
}

/// Parameters as Node.js has them: those of one name are a list.
struct Parameters<'a>(&'a [(Cow<'a, str>, Cow<'a, str>)]);

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Value<'a> {
            One(&'a str),
            Several(Vec<&'a str>),
        }
        let pairs = self.0.iter().map(|(name, value)| (&**name, &**value));
        serializer.collect_map(grouped(pairs).into_iter().map(|(name, values)| {
            let value = match values.as_slice() {
                [value] => Value::One(value),
                _ => Value::Several(values),
            };
            (name, value)
        }))
    }
}

impl Serialize for Handshake {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let query: Vec<_> = self.query().collect();
        let empty = RawValue::from_string("{}".into()).map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(Some(9))?;
        map.serialize_entry("headers", &Headers(&self.headers))?;
        map.serialize_entry("time", &date(self.time))?;
        map.serialize_entry("address", &self.address)?;
        map.serialize_entry("xdomain", &self.header("origin").is_some())?;
        map.serialize_entry("secure", &self.secure)?;
        map.serialize_entry("issued", &self.time)?;
        map.serialize_entry("url", &self.url)?;
        map.serialize_entry("query", &Parameters(&query))?;
        map.serialize_entry("auth", self.auth.as_deref().unwrap_or(&empty))?;
        map.end()
    }
}

/// As JavaScript prints a `Date`, in the time zone UTC.
fn date(milliseconds: u64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = milliseconds / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Counted from 1 March of the year 0, so that a leap day is the last of its year.
    let day = days + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12;
    let year = era * 400 + year + u64::from(month < 2);
    format!(
        "{} {} {of_month:02} {year} {:02}:{:02}:{:02} GMT+0000 (Coordinated Universal Time)",
        WEEKDAYS[(days % 7) as usize],
        MONTHS[month as usize],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dates_are_javascripts() {
        let zone = "GMT+0000 (Coordinated Universal Time)";
        for (time, date_) in [
            (0, "Thu Jan 01 1970 00:00:00"),
            (951_782_400_000, "Tue Feb 29 2000 00:00:00"),
            (1_735_689_599_999, "Tue Dec 31 2024 23:59:59"),
            (1_795_504_089_000, "Tue Nov 24 2026 07:08:09"),
        ] {
            assert_eq!(date(time), format!("{date_} {zone}"));
        }
    }

    #[test]
    fn as_json_it_is_socket_ios() {
        let text = json!({
            "url": "/socket.io/?EIO=4&a=b%26c&a=d",
            "headers": [["host", "x"], ["origin", "http://y"]],
            "address": "::1", "secure": false, "time": 0, "auth": { "token": "t" },
        });
        let handshake = Handshake::of_kept(&text.to_string()).unwrap();
        let json = serde_json::to_value(&handshake).unwrap();
        assert_eq!(
            json["headers"],
            json!({ "host": "x", "origin": "http://y" })
        );
        assert_eq!(json["query"]["EIO"], "4");
        assert_eq!(
            (&json["xdomain"], &json["issued"]),
            (&json!(true), &json!(0))
        );
        assert_eq!(json["auth"], json!({ "token": "t" }));
        assert_eq!(json["query"]["a"], json!(["b&c", "d"]));
    }

    #[test]
    fn what_comes_again_is_joined_or_a_list() {
        let headers = json!([["cookie", "a=1"], ["cookie", "b=2"], ["x", "1"], ["x", "2"]]);
        let text = json!({ "url": "/?a=1&a=2&b=3", "headers": headers, "address": "::1",
                           "secure": false, "time": 0, "auth": null });
        let handshake = Handshake::of_kept(&text.to_string()).unwrap();
        let text = serde_json::to_string(&handshake).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["query"], json!({ "a": ["1", "2"], "b": "3" }));
        assert_eq!(
            json["headers"],
            json!({ "cookie": "a=1; b=2", "x": "1, 2" })
        );
    }
}
