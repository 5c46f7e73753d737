use crate::Place;

#[test]
fn metrics_are_there_before_anything_has_happened() {
    let place = Place::new();
    let mut ran = place.run("metrics");
    let text = ran.take_stdout();
    assert!(text.starts_with("# HELP cicd_build_info "), "{text}");
    assert!(text.ends_with("# EOF\n") && text.contains("cicd_disk_floor_bytes 524288000\n"), "{text}");
    assert!(!text.contains("cicd_jobs"));
}

#[test]
fn a_textfile_is_in_the_format_that_its_reader_knows() {
    let place = Place::new().with_fault();
    place.run("review -q --local").stdout_has(&["reviewed"]);
    let file = place.text("cicdctl.prom");
    place.run(&format!("metrics --textfile {file}"));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    place
        .run("metrics --textfile /nonexistent/x.prom")
        .status(1)
        .stderr_has(&["could not write `/nonexistent/x.prom`"]);
}

#[test]
fn rules_and_dashboard_are_printed() {
    let place = Place::new();
    place.run("metrics rules").stdout(include_str!("../../templates/metrics/rules.yml"));
    let mut ran = place.run("metrics dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&ran.take_stdout()).unwrap();
    // Each series that a panel asks for is one that there is.
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let name = expression
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .find(|word| word.starts_with("cicd_"));
            let name = name.unwrap().trim_end_matches("_total").trim_end_matches("_bucket");
            let base = name.trim_end_matches("_seconds").trim_end_matches("_bytes");
            let source = include_str!("../../src/metrics/mod.rs");
            assert!(source.contains(&format!("\"{base}\"")), "{name}");
            asked += 1;
        }
    }
    assert!(asked >= 16);
}

#[test]
fn a_port_of_this_host_alone_answers_until_it_is_ended() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::Stdio;
    let place = Place::new();
    place.run("metrics --listen 0.0.0.0:9464").status(2).stderr_has(&["only an address of this host alone"]);
    place.run("metrics --listen 127.0.0.1:0 --textfile x").status(2).stderr_has(&["cannot be used with"]);
    let mut command = place.command(env!("CARGO_BIN_EXE_cicdctl"));
    let mut child = command
        .args(["metrics", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    let address =
        said.trim().strip_prefix("metrics are at http://").unwrap().strip_suffix("/metrics").unwrap().to_owned();
    let ask = |request: &str| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let found = ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        found.starts_with("HTTP/1.1 200") && found.contains("cicd_build_info") && found.ends_with("# EOF\n"),
        "{found}"
    );
    for (request, status) in [
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "405"),
    ] {
        assert!(ask(request).starts_with(&format!("HTTP/1.1 {status}")), "{request}");
    }
    // Who says nothing does not keep others out.
    let silent: Vec<_> = (0..8).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    assert!(ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 200"));
    drop(silent);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}
