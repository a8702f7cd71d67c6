//! One room or several, wherever Socket.IO takes either.

/// A room's name, or several: `"a"`, `["a", "b"]`, a `Vec<String>`.
pub trait RoomNames {
    /// Adds them to a list.
    fn add_to(self, list: &mut Vec<String>);
}

impl RoomNames for &str {
    fn add_to(self, list: &mut Vec<String>) {
        list.push(self.to_owned());
    }
}

impl RoomNames for String {
    fn add_to(self, list: &mut Vec<String>) {
        list.push(self);
    }
}

impl RoomNames for &String {
    fn add_to(self, list: &mut Vec<String>) {
        list.push(self.clone());
    }
}

impl<T: AsRef<str>> RoomNames for &[T] {
    fn add_to(self, list: &mut Vec<String>) {
        list.extend(self.iter().map(|name| name.as_ref().to_owned()));
    }
}

impl<T: AsRef<str>, const N: usize> RoomNames for [T; N] {
    fn add_to(self, list: &mut Vec<String>) {
        self.as_slice().add_to(list);
    }
}

impl<T: AsRef<str>> RoomNames for Vec<T> {
    fn add_to(self, list: &mut Vec<String>) {
        self.as_slice().add_to(list);
    }
}

impl<T: AsRef<str>> RoomNames for &Vec<T> {
    fn add_to(self, list: &mut Vec<String>) {
        self.as_slice().add_to(list);
    }
}

pub(crate) fn list(rooms: impl RoomNames) -> Vec<String> {
    let mut list = Vec::new();
    rooms.add_to(&mut list);
    list
}
