//! `upload_url.…`: files that come without an API key. Answered in `server/src/upload_urls.rs`.

use contract::sandboxes::{NewUploadUrl, UploadUrl, UploadedFile};

use super::{Chapter, Operation};

pub(crate) fn create() -> Operation {
    const TEXT: &str = "Makes a URL by which one file can be put into the sandbox without an API key, for an hour unless the server is set \
        otherwise, and as large as it allows (1 GiB unless set otherwise; `POST …/files` takes 10 MiB). Whoever has the URL has the right, so \
        pass it on as a secret. It leads to this one path, can be used again while it is good, and ends with the key that asked for it.";
    Operation::of::<UploadUrl>("upload_url.create", Chapter::Sandboxes, "Make an upload URL", TEXT)
        .takes::<NewUploadUrl>()
        .lists(&[401, 403, 404, 500])
        .gives(&["not_found"])
        .example(
            "",
            r#"{"path": "/workspace/december.csv"}"#,
            r#"{
  "upload_url": "https://errand.example.com/v1/uploads/AQGS9aF8Pn0Q",
  "path": "/workspace/december.csv",
  "expires_in_seconds": 3600
}"#,
        )
}

pub(crate) fn put() -> Operation {
    sent("upload_url.put")
}

pub(crate) fn post() -> Operation {
    sent("upload_url.post")
}

fn sent(id: &'static str) -> Operation {
    const TEXT: &str = "The other end of an upload URL: the body is the file, whatever its `Content-Type`. No key is needed. The file shows when \
        it is whole, in the place of one that had its name; broken off, nothing is there, and it can be sent again from its start. What \
        stalls for a minute is cut off.";
    Operation::of::<UploadedFile>(id, Chapter::Sandboxes, "Send a file to an upload URL", TEXT)
        .takes_bytes()
        .ours()
        .gives(&[
            "invalid_request",
            "invalid_upload_url",
            "not_found",
            "payload_too_large",
            "sandbox_full",
            "team_full",
            "rate_limited",
            "internal_error",
        ])
        .example(
            "",
            "date,amount\n2026-12-01,12.00\n",
            r#"{
  "path": "/workspace/december.csv",
  "size_bytes": 29
}"#,
        )
}
