//! Serve: HTTP and pages. GET and HEAD only, and nothing that is not published.
