use crate::Place;

#[test]
fn without_a_runner_it_says_how_to_get_one() {
    let place = Place::new();
    for line in ["job list", "job show x", "job follow x", "job cancel x"] {
        place.run(line).status(1).stderr(&format!(
            "error: could not reach the runner at `{}`: nobody listens there\n  cause: No such file or directory (os error 2)\n  hint: `cicdctl status` shows the socket's unit, `cicdctl init` sets it up, `cicdctl logs` says why it failed\n",
            place.text("run/cicd-runner.sock")
        ));
    }
}
