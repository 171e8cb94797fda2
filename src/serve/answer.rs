//! Answers: headers, conditions and ranges (RFC 9110), as apt uses them.

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{HeaderValue, Method, Response, StatusCode};

use super::object::Object;
use crate::domain::escape;

/// How long an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caching {
    /// The name vouches for the bytes.
    Immutable,
    /// Ask every time.
    Check,
}

/// Sends an object, or the part of it that is asked for, or that it has not changed.
pub(super) async fn send(
    method: &Method,
    asked: &HeaderMap,
    object: Object,
    media: &'static str,
    caching: Caching,
) -> Response<Body> {
    let tag = format!("\"{}\"", object.tag);
    let date = object.modified.http_date();
    let part = if is_unchanged(asked, &tag, &object) {
        Part::Unchanged
    } else {
        part(asked, &tag, &date, object.size)
    };
    let size = object.size;
    let mut answer = match part {
        Part::Unchanged => empty(StatusCode::NOT_MODIFIED),
        Part::Outside => {
            let mut answer = line(StatusCode::RANGE_NOT_SATISFIABLE, "the range is outside of the file");
            set(&mut answer, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return answer;
        }
        Part::Whole => stream(method, object, 0, size).await,
        Part::Range(first, last) => {
            let length = last.saturating_sub(first).saturating_add(1);
            let mut answer = stream(method, object, first, length).await;
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(
                &mut answer,
                header::CONTENT_RANGE,
                &format!("bytes {first}-{last}/{size}"),
            );
            answer
        }
    };
    if answer.status() != StatusCode::NOT_MODIFIED && answer.status().is_success() {
        set(&mut answer, header::CONTENT_TYPE, media);
        set(&mut answer, header::ACCEPT_RANGES, "bytes");
    }
    set(&mut answer, header::LAST_MODIFIED, &date);
    set(&mut answer, header::ETAG, &tag);
    let cache = match caching {
        Caching::Immutable => "public, max-age=31536000, immutable",
        Caching::Check => "no-cache",
    };
    set(&mut answer, header::CACHE_CONTROL, cache);
    answer
}

/// One line of text: why there is nothing else.
pub(super) fn line(status: StatusCode, why: &str) -> Response<Body> {
    refusal(status, why, "")
}

/// The same with what to do next, when there is something.
pub(super) fn refusal(status: StatusCode, why: &str, next: &str) -> Response<Body> {
    let next = match next {
        "" => String::new(),
        next => format!("; next: {}", escape(next)),
    };
    let mut answer = Response::new(Body::from(format!("{}{next}\n", escape(why))));
    *answer.status_mut() = status;
    set(&mut answer, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    set(&mut answer, header::CACHE_CONTROL, "no-store");
    answer
}

/// Sets a header, unless the value could not be one.
pub(super) fn set(answer: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

async fn stream(method: &Method, object: Object, start: u64, length: u64) -> Response<Body> {
    let body = if method == Method::HEAD {
        Ok(Body::empty())
    } else {
        object.body(start, length).await
    };
    let Ok(body) = body else {
        return line(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read");
    };
    let mut answer = Response::new(body);
    set(&mut answer, header::CONTENT_LENGTH, &length.to_string());
    answer
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

fn is_unchanged(asked: &HeaderMap, tag: &str, object: &Object) -> bool {
    if let Some(tags) = text(asked, header::IF_NONE_MATCH) {
        return tags
            .split(',')
            .map(str::trim)
            .any(|one| one == "*" || one.trim_start_matches("W/") == tag);
    }
    let since = text(asked, header::IF_MODIFIED_SINCE);
    let since = since.and_then(|date| crate::domain::Timestamp::parse_release_date(date).ok());
    since.is_some_and(|since| object.modified <= since)
}

enum Part {
    Whole,
    Unchanged,
    /// First and last byte.
    Range(u64, u64),
    Outside,
}

/// What `Range` asks for. More than one range, or one that cannot be read, is answered whole.
fn part(asked: &HeaderMap, tag: &str, date: &str, size: u64) -> Part {
    if text(asked, header::IF_RANGE).is_some_and(|known| known != tag && known != date) {
        return Part::Whole;
    }
    let Some(range) = text(asked, header::RANGE).and_then(|range| range.strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    let Some((first, last)) = range.split_once('-') else {
        return Part::Whole;
    };
    let end = size.saturating_sub(1);
    match (number(first), number(last)) {
        (Some(first), _) if first >= size => Part::Outside,
        (Some(first), Some(last)) if first <= last => Part::Range(first, last.min(end)),
        (Some(first), None) if last.is_empty() => Part::Range(first, end),
        (None, Some(0)) if first.is_empty() => Part::Outside,
        (None, Some(last)) if first.is_empty() && size > 0 => Part::Range(size.saturating_sub(last), end),
        _ => Part::Whole,
    }
}

fn number(text: &str) -> Option<u64> {
    // `parse` would take a plus sign.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn text(asked: &HeaderMap, name: HeaderName) -> Option<&str> {
    asked.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn asked(headers: &[(HeaderName, &str)]) -> HeaderMap {
        headers.iter().map(|(n, v)| (n.clone(), v.parse().unwrap())).collect()
    }

    async fn answer(headers: &[(HeaderName, &str)]) -> (u16, Option<String>, String) {
        let object = Object::memory(&b"0123456789"[..], Timestamp::from_unix(1_000_000_000));
        let answer = send(&Method::GET, &asked(headers), object, "text/plain", Caching::Check).await;
        let range = answer
            .headers()
            .get(header::CONTENT_RANGE)
            .map(|v| v.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        (status, range, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ranges_are_rfc_9110s() {
        for (range, status, content, body) in [
            ("bytes=0-", 206, Some("bytes 0-9/10"), "0123456789"),
            ("bytes=4-5", 206, Some("bytes 4-5/10"), "45"),
            ("bytes=4-99", 206, Some("bytes 4-9/10"), "456789"),
            ("bytes=-3", 206, Some("bytes 7-9/10"), "789"),
            ("bytes=-30", 206, Some("bytes 0-9/10"), "0123456789"),
            ("bytes=5-4", 200, None, "0123456789"),
            ("bytes=0-1,3-4", 200, None, "0123456789"),
            ("bytes=+1-2", 200, None, "0123456789"),
            ("lines=1-2", 200, None, "0123456789"),
        ] {
            let found = answer(&[(header::RANGE, range)]).await;
            assert_eq!(found, (status, content.map(str::to_owned), body.to_owned()), "{range}");
        }
        let (status, range, _) = answer(&[(header::RANGE, "bytes=10-")]).await;
        assert_eq!((status, range.as_deref()), (416, Some("bytes */10")));
    }

    #[tokio::test]
    async fn conditions_are_rfc_9110s() {
        let same = "Sun, 09 Sep 2001 01:46:40 GMT";
        assert_eq!(answer(&[(header::IF_MODIFIED_SINCE, same)]).await.0, 304);
        assert_eq!(
            answer(&[(header::IF_MODIFIED_SINCE, "Sun, 09 Sep 2001 01:46:39 GMT")])
                .await
                .0,
            200
        );
        assert_eq!(
            answer(&[(header::IF_NONE_MATCH, "\"x\""), (header::IF_MODIFIED_SINCE, same)])
                .await
                .0,
            200
        );
        assert_eq!(answer(&[(header::IF_NONE_MATCH, "*")]).await.0, 304);
        let resumed = [(header::RANGE, "bytes=5-"), (header::IF_RANGE, same)];
        assert_eq!(answer(&resumed).await.2, "56789");
        let changed = [
            (header::RANGE, "bytes=5-"),
            (header::IF_RANGE, "Sun, 09 Sep 2001 01:46:39 GMT"),
        ];
        assert_eq!(answer(&changed).await.2, "0123456789");
    }
}
