//! OpenPGP packets (RFC 9580 §4): framing by us, so that only the plain form gets to the parsers.

use pgp::packet::{PacketHeader, Signature};
use pgp::types::{PacketLength, Tag};

use super::TrustError;

const MOST_PACKETS: usize = 100_000;

/// One packet with a known length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    /// Where it starts.
    pub(super) offset: usize,
    /// Its header.
    pub(super) header: PacketHeader,
    /// What it holds.
    pub(super) body: &'a [u8],
}

impl Packet<'_> {
    pub(super) fn tag(&self) -> Tag {
        self.header.tag()
    }

    pub(super) fn error(&self, what: &'static str, why: impl Into<String>) -> TrustError {
        TrustError::Packet {
            what,
            offset: self.offset,
            why: why.into(),
        }
    }

    /// The signature in it. None when it is malformed, or neither v4 nor v6.
    pub(super) fn signature(&self) -> Option<Signature> {
        if self.tag() != Tag::Signature || !matches!(self.body.first(), Some(4 | 6)) {
            return None;
        }
        let mut rest = self.body;
        let signature = Signature::try_from_reader(self.header, &mut rest).ok()?;
        rest.is_empty().then_some(signature)
    }
}

/// Splits bytes into packets. Partial and indeterminate lengths are refused: they are for streams,
/// and no signature or certificate needs them.
pub(super) fn split<'a>(what: &'static str, bytes: &'a [u8]) -> Result<Vec<Packet<'a>>, TrustError> {
    let mut packets = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let offset = bytes.len().saturating_sub(rest.len());
        let error = |why: &str| TrustError::Packet {
            what,
            offset,
            why: why.to_owned(),
        };
        if packets.len() == MOST_PACKETS {
            return Err(error("there are too many packets"));
        }
        let header = PacketHeader::try_from_reader(&mut rest).map_err(|_| error("there is no packet header"))?;
        let PacketLength::Fixed(length) = header.packet_length() else {
            return Err(error("its length is not given"));
        };
        let (body, next) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or_else(|| error("it is cut off"))?;
        packets.push(Packet { offset, header, body });
        rest = next;
    }
    Ok(packets)
}
