//! Joins a binary packet's text with the attachments that follow it. It holds one packet; the caller
//! limits the size of each message.

use serde_json::value::RawValue;

use super::placeholders::{self, Placeholders};
use super::{AckId, Kind, Malformed, Packet};

/// A binary packet that waits for its attachments.
#[derive(Debug)]
pub struct Reassembler {
    packet: Complete,
    announced: usize,
}

/// A binary packet with all its attachments.
#[derive(Debug)]
pub struct Complete {
    /// [`Kind::BinaryEvent`] or [`Kind::BinaryAck`].
    pub kind: Kind,
    pub namespace: Box<str>,
    pub id: Option<AckId>,
    pub data: Option<Box<RawValue>>,
    /// In the order of arrival, which is that of their placeholders.
    pub attachments: Vec<Vec<u8>>,
}

impl Reassembler {
    /// Begins with a packet of [`Kind::BinaryEvent`] or [`Kind::BinaryAck`]. One that announces no
    /// attachments never completes: the reference hands it over at once, and then takes no text any more.
    pub fn new(packet: &Packet<'_>) -> Reassembler {
        Reassembler {
            packet: Complete {
                kind: packet.kind,
                namespace: packet.namespace.into(),
                id: packet.id,
                data: packet.data.map(ToOwned::to_owned),
                attachments: Vec::with_capacity(packet.attachments),
            },
            announced: packet.attachments,
        }
    }

    /// Adds the next binary message and says whether it was the last.
    pub fn add(&mut self, attachment: &[u8]) -> bool {
        // One that announced none swallows what comes, as the reference does, but keeps nothing.
        if self.announced > 0 {
            self.packet.attachments.push(attachment.to_vec());
        }
        self.announced > 0 && self.packet.attachments.len() == self.announced
    }

    /// The packet, once [`Reassembler::add`] has said that it is complete and if its placeholders
    /// name attachments that are there.
    pub fn finish(self) -> Result<Complete, Malformed> {
        let count = self.packet.attachments.len();
        let legal = match &self.packet.data {
            Some(data) => placeholders::check(data.get(), count) == Placeholders::Legal,
            None => true,
        };
        if legal {
            Ok(self.packet)
        } else {
            Err(Malformed::IllegalPlaceholder)
        }
    }
}
