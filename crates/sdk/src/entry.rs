//! What makes a component of an app: the entry that Spin calls.

/// Makes this crate a component that serves the namespaces of an app, a function that takes `&mut Io`:
///
/// ```no_run
/// parlour_sdk::main!(app);
///
/// fn app(io: &mut parlour_sdk::Io) {
///     io.on("hello", async || Ok("world"));
/// }
/// # fn main() {}
/// ```
///
/// A component that must know more, such as a variable, before it has an app calls [`serve`](crate::serve) itself.
#[macro_export]
macro_rules! main {
    ($app:expr) => {
        const _: () = {
            use $crate::__entry::{ErrorCode, Guest, Request, Response, answer};

            struct Component;

            impl Guest for Component {
                async fn handle(request: Request) -> ::std::result::Result<Response, ErrorCode> {
                    answer($app, request).await
                }
            }

            $crate::__entry::export!(Component);
        };
    };
}

/// What [`main!`] needs.
pub mod __entry {
    use spin_sdk::http::{FromRequest as _, IntoResponse as _};
    pub use spin_sdk::wasip3::{
        exports::http::handler::Guest,
        http::{
            service::export,
            types::{ErrorCode, Request, Response},
        },
    };

    use crate::{io::Io, serve::serve};

    pub async fn answer(
        app: impl FnOnce(&mut Io),
        request: Request,
    ) -> Result<Response, ErrorCode> {
        let request = spin_sdk::http::Request::from_request(request)?;
        serve(app, request).await.into_response()
    }
}
