//! Handlers: asynchronous closures and functions whose parameters say what they want.

use std::{pin::Pin, rc::Rc};

use crate::{
    args::ToArgs,
    error::{Error, Result},
    extract::{Call, Extract, on},
};

/// An asynchronous closure or function that is called for `Kind` (of [`on`]).
///
/// It takes what it names and no more, in any order, each parameter with its type:
///
/// | parameter | what it is | where |
/// | --- | --- | --- |
/// | [`Socket`](crate::Socket) | the client in this namespace | everywhere but in `on_ack` |
/// | [`Nsp`](crate::Nsp) | the namespace | everywhere |
/// | any type that serde can read | the next argument that the client sent | `on`, `on_once` |
/// | [`Args<(A, B)>`](crate::Args), `Args<Vec<Raw>>` | the next arguments, or all that are left | `on`, `on_once` |
/// | [`Ack`](crate::Ack) | answers the event | `on`, `on_once` |
/// | [`Claims<T>`](crate::Claims), `Option<Claims<T>>` | what middleware said of the client | everywhere but in `on_ack` |
/// | [`Auth<T>`](crate::Auth) | what the client said in `auth` | `on_connect` |
/// | [`Handshake`](crate::Handshake) | the request that the client came with | everywhere but in `on_ack` |
/// | [`Reason`](crate::Reason) | why the socket is gone | `on_disconnecting`, `on_disconnect` |
/// | [`Packet`](crate::Packet) | the event's name and arguments | `use_packet`, `on_any` |
/// | [`Acks`](crate::Acks) | what clients answered | `on_ack` |
///
/// It returns `()` or a [`Result`]. What the `Ok` of an event's handler has is its acknowledgement, with no
/// arguments if that is `()`. A handler that takes `Ack` answers by that, and has nothing in its `Ok`.
///
/// A wrong handler does not compile:
///
/// ```compile_fail,E0277
/// # fn app(io: &mut parlour_sdk::Io) {
/// io.on_connect(async |text: String| {}); // a client that enters has sent no arguments
/// # }
/// ```
///
/// ```compile_fail,E0080
/// # fn app(io: &mut parlour_sdk::Io) {
/// io.on("count", async |ack: parlour_sdk::Ack| Ok(1)); // two answers
/// # }
/// # fn main() { let register: fn(&mut parlour_sdk::Io) = app; std::hint::black_box(register); }
/// ```
#[diagnostic::on_unimplemented(
    message = "this cannot be a handler of `{Kind}`",
    label = "has a parameter or a result that a handler of `{Kind}` cannot have",
    note = "a handler is an `async` closure or function that takes what it names, each with its type, in any order: `Socket`, `Nsp`, `Claims<T>`, `Handshake`; in `on` and `on_once` also `Ack`, types that serde reads, and `Args<…>`; in `on_connect` `Auth<T>`; in `on_disconnecting` and `on_disconnect` `Reason`; in `use_packet` and `on_any` `Packet`; in `on_ack` only `Nsp` and `Acks`",
    note = "it returns `()`, or a `parlour_sdk::Result`, of which `Ok(value)` is the acknowledgement in `on` and `on_once`"
)]
pub trait Handler<Kind, Params>: 'static {
    /// What its `Ok` has.
    type Value;

    /// Its parameters, once they are read.
    type Given: 'static;

    /// Whether it takes `Ack`, and so answers by itself.
    const TAKES_ACK: bool;

    /// Whether it takes the handshake.
    const TAKES_HANDSHAKE: bool;

    /// Reads what it takes.
    fn extract(call: &mut Call<'_>) -> Result<Self::Given>;

    /// Runs it.
    fn run(&self, given: Self::Given) -> impl Future<Output = Result<Self::Value>>;
}

/// What handlers return: `()`, or a [`Result`].
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "a handler returns `()` or a `parlour_sdk::Result`; an acknowledgement is what its `Ok` has"
)]
pub trait Outcome {
    /// What its `Ok` has.
    type Value;

    fn into_result(self) -> Result<Self::Value>;
}

impl Outcome for () {
    type Value = ();

    fn into_result(self) -> Result {
        Ok(())
    }
}

impl<T> Outcome for Result<T, Error> {
    type Value = T;

    fn into_result(self) -> Self {
        self
    }
}

macro_rules! handler_of {
    ($($Param:ident $Via:ident),*) => {
        impl<Kind, F, R, $($Param, $Via),*> Handler<Kind, ($(($Param, $Via),)*)> for F
        where
            F: AsyncFn($($Param),*) -> R + 'static,
            R: Outcome,
            $($Param: Extract<Kind, $Via> + 'static),*
        {
            type Value = R::Value;
            type Given = ($($Param,)*);

            const TAKES_ACK: bool = false $(|| $Param::IS_ACK)*;
            const TAKES_HANDSHAKE: bool = false $(|| $Param::IS_HANDSHAKE)*;

            fn extract(_call: &mut Call<'_>) -> Result<Self::Given> {
                Ok(($($Param::extract(_call)?,)*))
            }

            #[allow(non_snake_case)]
            async fn run(&self, ($($Param,)*): Self::Given) -> Result<Self::Value> {
                self($($Param),*).await.into_result()
            }
        }
    };
}

handler_of!();
handler_of!(A ViaA);
handler_of!(A ViaA, B ViaB);
handler_of!(A ViaA, B ViaB, C ViaC);
handler_of!(A ViaA, B ViaB, C ViaC, D ViaD);
handler_of!(A ViaA, B ViaB, C ViaC, D ViaD, E ViaE);
handler_of!(A ViaA, B ViaB, C ViaC, D ViaD, E ViaE, G ViaG);
handler_of!(A ViaA, B ViaB, C ViaC, D ViaD, E ViaE, G ViaG, H ViaH);
handler_of!(A ViaA, B ViaB, C ViaC, D ViaD, E ViaE, G ViaG, H ViaH, I ViaI);

type Running = Pin<Box<dyn Future<Output = Result<()>>>>;

/// A handler of any kind and any parameters. It reads its parameters at once and runs when it is awaited.
pub(crate) type Run = Box<dyn Fn(Call<'_>) -> Result<Running>>;

/// A handler that answers nothing.
pub(crate) fn silent<Kind, P, H>(handler: H) -> Run
where
    H: Handler<Kind, P, Value = ()>,
{
    let handler = Rc::new(handler);
    Box::new(move |mut call| {
        let given = H::extract(&mut call)?;
        let handler = handler.clone();
        Ok(Box::pin(async move { handler.run(given).await }))
    })
}

/// A handler whose value is the acknowledgement, unless it takes `Ack`.
pub(crate) fn answering<P, H>(handler: H) -> Run
where
    H: Handler<on::Event, P>,
    H::Value: ToArgs,
{
    answers_once::<P, H>();
    let handler = Rc::new(handler);
    Box::new(move |mut call| {
        let given = H::extract(&mut call)?;
        let ack = call.ack.filter(|_| !H::TAKES_ACK);
        let handler = handler.clone();
        Ok(Box::pin(async move {
            let value = handler.run(given).await?;
            ack.map_or(Ok(()), |ack| ack.settle(&value))
        }))
    })
}

/// Fails to compile where a handler has two ways to answer.
pub(crate) fn answers_once<P, H: Handler<on::Event, P>>() {
    const {
        assert!(
            !H::TAKES_ACK || size_of::<H::Value>() == 0,
            "a handler that takes `Ack` answers by that, so it returns `()` or `Result<()>`"
        );
    }
}
