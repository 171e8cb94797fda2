//! Other programs: started with a clean environment, with limits on time and output.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that starts programs and reads the environment"
)]

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use super::{HostError, process};
use crate::domain::escape;

/// The environment of the process, read in this one place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Environment;

impl Environment {
    /// A variable, when it is set, not empty and UTF-8.
    #[must_use]
    pub fn get(self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// The arguments of this process, its name first.
    #[must_use]
    pub fn arguments(self) -> Vec<OsString> {
        std::env::args_os().collect()
    }

    /// The current folder.
    ///
    /// # Errors
    /// When it was removed.
    pub fn current_folder(self) -> Result<PathBuf, HostError> {
        std::env::current_dir().map_err(|source| HostError::File {
            act: "find",
            path: ".".into(),
            source,
        })
    }

    /// The path of this very program.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn own_program(self) -> Result<PathBuf, HostError> {
        std::env::current_exe().map_err(|source| HostError::File {
            act: "find",
            path: "/proc/self/exe".into(),
            source,
        })
    }
}

/// A program to run. Nothing is inherited but `PATH`; `LC_ALL=C.UTF-8` and `TZ=UTC` are set.
#[derive(Debug)]
pub struct Program {
    name: String,
    args: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    input: Option<Vec<u8>>,
    log: Option<PathBuf>,
    timeout: Duration,
    limit: u64,
    whole: bool,
}

/// What a program that succeeded wrote.
#[derive(Debug, Clone)]
pub struct Output {
    /// Standard output. Empty when it went to a log.
    pub stdout: Vec<u8>,
    /// The end of standard error. Empty when it went to a log.
    pub stderr: String,
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const KEPT_OF_STDERR: usize = 4096;
/// How long to wait before looking once more, whatever happened.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Program {
    /// A program by name (looked up in the system's folders) or absolute path.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            args: Vec::new(),
            environment: vec![
                ("PATH".into(), PATH.into()),
                ("LC_ALL".into(), "C.UTF-8".into()),
                ("TZ".into(), "UTC".into()),
            ],
            folder: None,
            input: None,
            log: None,
            timeout: Duration::from_secs(600),
            limit: 64 << 20,
            whole: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Runs it in this folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Gives it this on standard input; without, standard input is empty.
    #[must_use]
    pub fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = Some(bytes);
        self
    }

    /// Writes both outputs to this file, which must not exist, instead of keeping them.
    #[must_use]
    pub fn log(mut self, path: &Path) -> Self {
        self.log = Some(path.to_owned());
        self
    }

    /// Kills it after this many seconds (600 unless told).
    #[must_use]
    pub fn timeout(mut self, seconds: u64) -> Self {
        self.timeout = Duration::from_secs(seconds);
        self
    }

    /// Refuses more output than this many bytes (64 MiB unless told).
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// What it started ends with it, also when it takes too long: none of them holds on to its output.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// Runs it and demands success.
    ///
    /// # Errors
    /// When it cannot be started, fails, writes too much or takes too long.
    pub fn run(self) -> Result<Output, HostError> {
        self.succeed(None)
    }

    /// The same, with all of `input` on standard input as it is read. A program that does not read all of it,
    /// or an input that fails, is judged by what the program makes of it.
    ///
    /// # Errors
    /// As `run`.
    pub fn run_reading(self, input: &mut (dyn Read + Send)) -> Result<Output, HostError> {
        self.succeed(Some(input))
    }

    fn succeed(self, input: Option<&mut (dyn Read + Send)>) -> Result<Output, HostError> {
        let described = self.described();
        let (status, output) = self.status(input)?;
        if status.success() {
            return Ok(output);
        }
        Err(HostError::Failed {
            program: described,
            status: status.to_string(),
            stderr: escape_lines(&output.stderr),
        })
    }

    /// Runs it and gives its exit code too: none when a signal ended it.
    ///
    /// # Errors
    /// When it cannot be started, writes too much or takes too long.
    pub fn run_any(self) -> Result<(Option<i32>, Output), HostError> {
        let (status, output) = self.status(None)?;
        Ok((status.code(), output))
    }

    fn described(&self) -> String {
        let mut text = self.name.clone();
        for arg in self.args.iter().take(3) {
            text.push(' ');
            text.push_str(&arg.to_string_lossy());
        }
        escape(&text)
    }

    fn status(self, mut stream: Option<&mut (dyn Read + Send)>) -> Result<(ExitStatus, Output), HostError> {
        let described = self.described();
        let start = |source| HostError::Start {
            program: self.name.clone(),
            source,
        };
        let mut command = Command::new(&self.name);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.environment.iter().map(|(n, v)| (n, v)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.stdin(if self.input.is_some() || stream.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        match &self.log {
            Some(path) => {
                let log = super::files::create_new(path)?;
                command
                    .stdout(Stdio::from(log.try_clone().map_err(start)?))
                    .stderr(Stdio::from(log));
            }
            None => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
            }
        }
        if self.whole {
            process::lead_a_group(&mut command);
        }
        let mut child = command.spawn().map_err(start)?;
        let (bytes, pipe) = (self.input.clone(), child.stdin.take());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let limit = self.limit;
        let deadline = Instant::now().checked_add(self.timeout);
        std::thread::scope(|scope| {
            let feeder = scope.spawn(move || {
                let Some(mut pipe) = pipe else { return };
                // A program that does not read all of its input is judged by its exit status.
                let _ = match (&mut stream, bytes) {
                    (Some(stream), _) => std::io::copy(stream, &mut pipe).map(|_| ()),
                    (None, bytes) => pipe.write_all(&bytes.unwrap_or_default()),
                };
            });
            let out = scope.spawn(move || drain(stdout, limit));
            let err = scope.spawn(move || drain(stderr, limit));
            let found = ended(&mut child, deadline);
            if self.whole {
                process::end_group(child.id());
            }
            let status = match found {
                Ok(Some(status)) => Ok(status),
                Ok(None) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    Err(HostError::TimedOut {
                        program: described.clone(),
                        seconds: self.timeout.as_secs(),
                    })
                }
                Err(source) => Err(start(source)),
            };
            let _ = feeder.join();
            let stdout = out.join().unwrap_or_default();
            let stderr = err.join().unwrap_or_default();
            let status = status?;
            if stdout.len() as u64 > limit {
                return Err(HostError::TooMuchOutput {
                    program: described.clone(),
                    limit,
                });
            }
            let from = stderr.len().saturating_sub(KEPT_OF_STDERR);
            let stderr = String::from_utf8_lossy(stderr.get(from..).unwrap_or_default()).into_owned();
            Ok((status, Output { stdout, stderr }))
        })
    }
}

/// Waits for a program's end; none when the deadline comes before it. Wakes when it ends, not each few milliseconds:
/// many are short, and some run beside a build that is measured.
fn ended(child: &mut Child, deadline: Option<Instant>) -> std::io::Result<Option<ExitStatus>> {
    let descriptor = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = deadline.map_or(LONGEST_WAIT, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        if left.is_zero() {
            return Ok(None);
        }
        match &descriptor {
            Some(descriptor) => {
                let most = Timespec::try_from(left.min(LONGEST_WAIT)).ok();
                match poll(&mut [PollFd::new(descriptor, PollFlags::IN)], most.as_ref()) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            // A kernel that has no such descriptors.
            None => std::thread::sleep(left.min(Duration::from_millis(5))),
        }
    }
}

/// Reads a pipe to its end, so that the program never blocks; keeps one byte more than `limit` at most.
fn drain(pipe: Option<impl Read>, limit: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else { return kept };
    let _ = pipe.by_ref().take(limit.saturating_add(1)).read_to_end(&mut kept);
    let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    kept
}

fn escape_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(escape).collect();
    let from = lines.len().saturating_sub(12);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_inherited() -> Result<(), HostError> {
        let output = Program::new("env").run()?;
        let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            ["LC_ALL=C.UTF-8".to_owned(), format!("PATH={PATH}"), "TZ=UTC".to_owned()]
        );
        Ok(())
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let ended = Program::new("sleep").arg("20").timeout(1).run();
        assert!(matches!(ended, Err(HostError::TimedOut { .. })));
    }

    #[test]
    fn what_it_started_is_killed_with_it() {
        let began = Instant::now();
        let held = Program::new("sh").args(["-c", "sleep 60 & wait"]).timeout(1).whole();
        assert!(matches!(held.run(), Err(HostError::TimedOut { .. })));
        let left = Program::new("sh").args(["-c", "sleep 60 & echo done"]).whole().run();
        assert_eq!(
            left.unwrap().stdout,
            b"done
"
        );
        assert!(began.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn endless_output_is_cut() {
        let ended = Program::new("head")
            .args(["-c", "100000", "/dev/zero"])
            .limit(1000)
            .run();
        assert!(matches!(ended, Err(HostError::TooMuchOutput { .. })));
    }

    #[test]
    fn failure_names_program_and_reason() {
        let ended = Program::new("sh").args(["-c", "echo broken >&2; exit 3"]).run();
        let Err(error) = ended else { panic!("it succeeded") };
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
