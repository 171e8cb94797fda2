//! bzip2, lzma and lz4: what other archives may compress their indexes with, and ours never are. Only read, to judge what apt
//! makes of them (`lint`), and as apt reads them: the first stream counts, and nothing behind it.

use std::fmt;
use std::io::Read;

use super::FormatError;
use super::compress::MEMORY;

const WHAT: &str = "compressed index";

/// A compression that is only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// bzip2.
    Bzip2,
    /// lzma, as it was before xz.
    Lzma,
    /// An lz4 frame.
    Lz4,
}

impl Foreign {
    /// By the extension of a file's name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name.rsplit_once('.')? {
            (_, "bz2") => Some(Self::Bzip2),
            (_, "lzma") => Some(Self::Lzma),
            (_, "lz4") => Some(Self::Lz4),
            _ => None,
        }
    }

    /// What the first stream gives. `limit` is in bytes of that.
    ///
    /// # Errors
    /// When it is damaged or truncated, or gives more than the limit.
    pub fn decompress(self, bytes: &[u8], limit: u64) -> Result<Vec<u8>, FormatError> {
        let failed = |source| FormatError::Read { what: WHAT, source };
        let stream: Box<dyn Read + '_> = match self {
            Self::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(bytes)),
            Self::Lzma => {
                let stream = xz2::stream::Stream::new_lzma_decoder(MEMORY);
                let stream = stream.map_err(|error| failed(error.into()))?;
                Box::new(xz2::bufread::XzDecoder::new_stream(bytes, stream))
            }
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(bytes)),
        };
        let mut out = Vec::new();
        stream
            .take(limit.saturating_add(1))
            .read_to_end(&mut out)
            .map_err(failed)?;
        if out.len() as u64 > limit {
            return Err(FormatError::Limit {
                what: WHAT,
                limit,
                unit: "bytes",
            });
        }
        Ok(out)
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Lz4 => "lz4",
        })
    }
}
