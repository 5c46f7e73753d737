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
    assert!(asked >= 14);
}
