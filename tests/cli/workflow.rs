use crate::Place;

#[test]
fn only_the_workflow_is_on_stdout() {
    let place = Place::new();
    place.write("home/.config/cicd-toolkit/agents/shop.toml", "repo = \"acme/shop\"\n");
    place.write("home/.config/cicd-toolkit/agents/bare.toml", "");
    let next = "Commit it as .github/workflows/cicdctl-review.yml in the repository's default branch.\n";
    let begins = "# Written by `cicdctl workflow github`.";
    for line in ["workflow github", "workflow github --agent shop", "workflow github --repo Acme/Shop --wait"] {
        let mut ran = place.run(line).stderr(next);
        let text = ran.take_stdout();
        assert!(text.starts_with(begins) && text.ends_with("esac\n"), "{text}");
    }
    place.run("workflow github --agent shop").stderr(next).stdout_has(&["          AGENT: 'shop'\n"]);
    place.run("workflow github -q --agent bare").stdout_has(&["AGENT: 'bare'"]);
    place
        .run("workflow github --agent bare")
        .stdout_has(&[begins])
        .stderr_has(&["Agent `bare` has no repository of its own"]);
    place
        .run("workflow github --repo a/b")
        .stdout_has(&["REPOSITORY: 'a/b'"])
        .stderr_has(&["No agent has this repository"]);
    place.run("workflow github --agent nobody").status(1).stderr_has(&["there is no agent `nobody`"]);
    for repo in ["a", "a/b/c", "a/b'", "a/../b"] {
        place.run(&format!("workflow github --repo {repo}")).status(2).stderr_has(&["is no repository of GitHub"]);
    }
}
