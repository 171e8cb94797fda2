//! The examples in `docs/examples`: what can be checked of them without the engines that they are for.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// As `assay rebuild … --plan --issue --json` prints it.
const PLAN: &str = concat!(
    r#"{"source":"hello","version":"2.10-3","archive":"custom","declaration":"00","lock":"00","builder":"alice/ci","after":[],"nonce":"aa","run":0,"command":"x"}"#,
    "\n",
    r#"{"source":"libc++x","version":"1","archive":"custom","declaration":"00","lock":"00","builder":"bob/ci","after":[],"nonce":"bb","run":1,"command":"x"}"#,
    "\n"
);

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name)
}

fn ran(program: &Path, args: &[&Path], input: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", program.display());
    String::from_utf8(output.stdout).unwrap()
}

/// A YAML file as JSON.
fn yaml(path: &Path) -> Value {
    let convert = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = Command::new("python3")
        .args(["-c", convert])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_plan_becomes_a_gitlab_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("jobs.json");
    std::fs::write(&plan, PLAN).unwrap();
    let made = ran(&example("gitlab-jobs"), &[&plan], "");
    let path = folder.path().join("jobs.yml");
    std::fs::write(&path, &made).unwrap();
    let pipeline = yaml(&path);
    let job = &pipeline["libc++x-1"];
    assert_eq!(job["tags"], serde_json::json!(["bob-ci"]), "{made}");
    assert_eq!(
        (&job["variables"]["NONCE"], &job["variables"]["RUN"]),
        (&"bb".into(), &"1".into())
    );
    assert_eq!(job["artifacts"]["paths"][0], job["variables"]["OUTPUT"]);
    // The key goes where `assay` looks for it, whatever the engine names the file.
    let variable = folder.path().join("ASSAY_BUILDER_KEY");
    std::fs::write(&variable, "secret").unwrap();
    let installed = Command::new("sh")
        .args(["-ec", job["script"][0].as_str().unwrap()])
        .env("ASSAY_BUILDER_KEY", &variable)
        .env("ASSAY_BUILDER_FINGERPRINT", "ed25519:00ff")
        .current_dir(folder.path())
        .status()
        .unwrap();
    let fingerprint = assay::domain::Fingerprint::new(format!("ed25519:{}", "0".repeat(64))).unwrap();
    assert_eq!(fingerprint.file_stem(), format!("ed25519-{}", "0".repeat(64)));
    assert!(installed.success() && folder.path().join("keys/ed25519-00ff.secret").is_file());
    assert_eq!(pipeline.as_object().unwrap().len(), 2);

    let parent = yaml(&example("gitlab-ci.yml"));
    let stages: Vec<&str> = parent["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap())
        .collect();
    for job in ["plan", "rebuild", "admit"] {
        assert!(stages.contains(&parent[job]["stage"].as_str().unwrap()), "{job}");
    }
    assert_eq!(parent["rebuild"]["trigger"]["include"][0]["job"], "plan");
}

#[test]
fn a_plan_becomes_kubernetes_jobs() {
    let made = ran(&example("kubernetes-jobs"), &[], PLAN);
    let jobs: Vec<Value> = made.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[1]["metadata"]["name"], "rebuild-libc--x-1-bb", "a DNS label");
    let container = &jobs[1]["spec"]["template"]["spec"]["containers"][0];
    let set = |name: &str| {
        let all = container["env"].as_array().unwrap();
        all.iter().find(|v| v["name"] == name).unwrap()["value"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (set("SOURCE"), set("BUILDER"), set("NONCE")),
        ("libc++x".into(), "bob/ci".into(), "bb".into())
    );
    assert_eq!(
        (set("RUN"), set("OUTPUT"), set("ARCHIVE")),
        ("1".into(), "/answers/libc--x-1-bb".into(), "custom".into())
    );
    // All that the builder's script demands is set.
    let script = std::fs::read_to_string(example("builder.sh")).unwrap();
    for name in ["SITE", "SOURCE", "ARCHIVE", "BUILDER", "NONCE", "RUN", "OUTPUT"] {
        assert!(
            script.contains(&format!("${{{name}:?")) && !set(name).is_empty(),
            "{name}"
        );
    }
}
