//! The namespace `/`.

use parlour_sdk::Io;

parlour_sdk::main!(main);

fn main(io: &mut Io) {
    io.on("hello", async |name: String| Ok(format!("Hello, {name}!")));
}
