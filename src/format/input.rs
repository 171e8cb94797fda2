//! A stream that knows its position, for the container formats: short reads are errors that say where.

use std::io::{ErrorKind, Read};

use super::FormatError;

/// The error of the stream below; ours, when one of our readers below gave it.
pub(super) fn read_failed(what: &'static str) -> impl Fn(std::io::Error) -> FormatError {
    move |error| match error.downcast::<FormatError>() {
        Ok(ours) => ours,
        Err(source) => FormatError::Read { what, source },
    }
}

/// A stream with a position.
#[derive(Debug)]
pub(super) struct Input<R> {
    what: &'static str,
    reader: R,
    position: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(what: &'static str, reader: R) -> Self {
        Self {
            what,
            reader,
            position: 0,
        }
    }

    /// Where we are, for messages.
    pub(super) fn position(&self) -> String {
        format!("byte {}", self.position)
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.position
    }

    /// Fills `buffer`.
    pub(super) fn exact(&mut self, buffer: &mut [u8]) -> Result<(), FormatError> {
        if self.exact_or_end(buffer)? || buffer.is_empty() {
            return Ok(());
        }
        Err(FormatError::malformed(self.what, self.position(), "it ends too early"))
    }

    /// Fills `buffer`, or says that the stream had ended before its first byte.
    pub(super) fn exact_or_end(&mut self, buffer: &mut [u8]) -> Result<bool, FormatError> {
        let mut filled = 0_usize;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest).map_err(read_failed(self.what))? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(FormatError::malformed(self.what, self.position(), "it ends too early")),
                count => filled = filled.saturating_add(count),
            }
        }
        Ok(filled > 0)
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.position = self.position.saturating_add(count as u64);
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
