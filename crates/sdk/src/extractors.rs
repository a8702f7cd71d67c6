//! The parameters that this crate has for handlers.

use serde::de::DeserializeOwned;

use crate::{
    ack::Ack,
    args::{Args, FromArgs, misfit},
    asked::Acks,
    claims::{Auth, Claims},
    error::{Error, Result},
    extract::{About, Call, Extract, ViaArgs, ViaContext, ViaData, on},
    handshake::Handshake,
    nsp::Nsp,
    packet::{Packet, Reason},
    socket::Socket,
};

fn socket<'a>(call: &Call<'a>) -> Result<&'a Socket> {
    let missing = || Error::internal("this call is about no socket");
    call.socket.ok_or_else(missing)
}

impl<T: DeserializeOwned> Extract<on::Event, ViaData> for T {
    fn extract(call: &mut Call<'_>) -> Result<Self> {
        T::from_args(&mut call.args).map_err(|problem| misfit(call.event, problem))
    }
}

impl<T> Extract<on::Event, ViaArgs> for Args<T>
where
    Self: FromArgs,
{
    fn extract(call: &mut Call<'_>) -> Result<Self> {
        Self::from_args(&mut call.args).map_err(|problem| misfit(call.event, problem))
    }
}

impl<Kind: on::HasSocket> Extract<Kind, ViaContext> for Socket {
    fn extract(call: &mut Call<'_>) -> Result<Self> {
        socket(call).cloned()
    }
}

impl<Kind> Extract<Kind, ViaContext> for Nsp {
    fn extract(call: &mut Call<'_>) -> Result<Self> {
        let context = call.context.clone();
        Ok(Self { context })
    }
}

impl Extract<on::Event, ViaContext> for Ack {
    const IS_ACK: bool = true;

    fn extract(call: &mut Call<'_>) -> Result<Self> {
        let missing = || Error::internal("this call cannot be answered");
        call.ack.clone().ok_or_else(missing)
    }
}

impl<Kind: on::HasSocket, T: DeserializeOwned + 'static> Extract<Kind, ViaContext> for Claims<T> {
    fn extract(call: &mut Call<'_>) -> Result<Self> {
        socket(call)?.claims()
    }
}

impl<Kind: on::HasSocket, T: DeserializeOwned + 'static> Extract<Kind, ViaContext>
    for Option<Claims<T>>
{
    fn extract(call: &mut Call<'_>) -> Result<Self> {
        let socket = socket(call)?;
        socket.has_claims().then(|| socket.claims()).transpose()
    }
}

impl<Kind: on::HasSocket> Extract<Kind, ViaContext> for Handshake {
    const IS_HANDSHAKE: bool = true;

    fn extract(call: &mut Call<'_>) -> Result<Self> {
        let missing =
            "the handshake of this socket was not kept: it connected before a handler asked for it";
        let handshake = socket(call)?.handshake().cloned();
        handshake.ok_or_else(|| Error::internal(missing))
    }
}

impl<T: DeserializeOwned> Extract<on::Connect, ViaContext> for Auth<T> {
    fn extract(call: &mut Call<'_>) -> Result<Self> {
        let handshake = socket(call)?.handshake();
        let missing = || Error::internal("this client has no handshake");
        handshake.ok_or_else(missing)?.auth().map(Auth)
    }
}

impl Extract<on::Disconnect, ViaContext> for Reason {
    fn extract(call: &mut Call<'_>) -> Result<Self> {
        match call.about {
            About::Reason(reason) => Ok(Self(reason.to_owned())),
            _ => Err(Error::internal("this call has no reason")),
        }
    }
}

impl Extract<on::AnyEvent, ViaContext> for Packet {
    fn extract(call: &mut Call<'_>) -> Result<Self> {
        match call.about {
            About::Packet(packet) => Ok(packet.clone()),
            _ => Err(Error::internal("this call has no packet")),
        }
    }
}

impl Extract<on::Acknowledgements, ViaContext> for Acks {
    fn extract(call: &mut Call<'_>) -> Result<Self> {
        match call.about {
            About::Acks(acks) => Ok(acks.clone()),
            _ => Err(Error::internal("this call has no acknowledgements")),
        }
    }
}
