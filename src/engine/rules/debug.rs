//! What was put in to look for a fault and forgotten.

use crate::finding::{Category, Severity};

use super::source::{At, Lang};
use super::{Check, Hit, Rule, RuleInfo, Scope, pattern};

pub(super) static RULES: &[Rule] = &[
    Rule {
        info: RuleInfo {
            id: "js-console-log",
            title: "Output for debugging",
            severity: Severity::Info,
            category: Category::Maintainability,
            confidence: 0.4,
            explanation: "`console.log` writes to the console of everyone who runs this, and what was logged while looking for a \
                          fault often holds more than it should. Remove it, or use the logger of the project.",
        },
        scope: Scope::code(Lang::JS),
        check: Check::FirstLine(&["console."], console_log),
    },
    Rule {
        info: RuleInfo {
            id: "js-debugger",
            title: "Breakpoint left in the code",
            severity: Severity::Medium,
            category: Category::Correctness,
            confidence: 0.95,
            explanation: "Wherever developer tools are open, the program stops here. Remove the statement.",
        },
        scope: Scope::code(Lang::JS).and_tests(),
        check: Check::Line(&["debugger"], |at| {
            Hit::when(pattern!(r"^\s*(?:[^;]*[;{]\s*)?debugger\s*(?:;.*|\}.*)?$").is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "js-focused-test",
            title: "All other tests are left out",
            severity: Severity::High,
            category: Category::Testing,
            confidence: 0.95,
            explanation: "`.only` and its kin run this test and skip the rest of the file, so the suite passes whatever else is \
                          broken. Remove the focus.",
        },
        scope: Scope::code(Lang::JS).and_tests(),
        check: Check::Line(&[".only", "fdescribe", "fit(", "fcontext"], |at| {
            let only =
                pattern!(r"(?:^|[^.\w])(?:describe|it|test|context|suite|specify)(?:\.\w+)*\.only(?:\.\w+)*\s*[(`]");
            let prefixed = pattern!(r"^\s*(?:fdescribe|fit|fcontext)\s*\(");
            Hit::when(only.is_match(at.bare()) || (at.subject.test && prefixed.is_match(at.bare())))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "ruby-focused-test",
            title: "All other tests may be left out",
            severity: Severity::High,
            category: Category::Testing,
            confidence: 0.85,
            explanation: "With RSpec's usual settings a focused example is the only one that runs, so the suite passes whatever \
                          else is broken. Remove the focus.",
        },
        scope: Scope::code(&[Lang::Ruby]).and_tests(),
        check: Check::Line(&["focus", "fit", "fdescribe", "fcontext"], |at| {
            let focus = pattern!(
                r"^\s*(?:RSpec\.)?(?:it|describe|context|scenario|feature)\b.*,\s*(?::focus\b|focus:\s*true\b|:focus\s*=>\s*true\b).*\b(?:do|\{)|^\s*(?:fit|fdescribe|fcontext)\s.*\b(?:do|\{)"
            );
            Hit::when(at.subject.test && focus.is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "rust-dbg",
            title: "`dbg!` left in the code",
            severity: Severity::Low,
            category: Category::Maintainability,
            confidence: 0.9,
            explanation: "`dbg!` prints to standard error in release builds too, values and source position included. Remove it, \
                          or use the logger of the project.",
        },
        scope: Scope::code(&[Lang::Rust]),
        check: Check::Line(&["dbg!"], |at| {
            Hit::when(pattern!(r"(?:^|[^\w:!])(?:std::)?dbg!\s*[(\[{]").is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "rust-unfinished",
            title: "Code that is not written yet",
            severity: Severity::Medium,
            category: Category::Reliability,
            confidence: 0.75,
            explanation: "The program panics as soon as it comes here. Write the missing part, or return an error that says what \
                          is not supported.",
        },
        scope: Scope::code(&[Lang::Rust]),
        check: Check::Line(&["todo!"], |at| {
            Hit::when(pattern!(r"(?:^|[^\w:!])(?:std::)?todo!\s*[(\[{]").is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "python-breakpoint",
            title: "Breakpoint left in the code",
            severity: Severity::High,
            category: Category::Correctness,
            confidence: 0.95,
            explanation: "The program stops here and waits for someone to type; a service hangs. Remove the call.",
        },
        scope: Scope::code(&[Lang::Python]).and_tests(),
        check: Check::Line(&["set_trace", "breakpoint"], |at| {
            let call = pattern!(
                r"\b(?:pdb|ipdb|pudb|wdb|rpdb|remote_pdb|debugpy)\.(?:set_trace|breakpoint)\s*\(|^\s*(?:[^#]*[:;]\s*)?breakpoint\s*\(\s*\)\s*$"
            );
            Hit::when(call.is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "ruby-breakpoint",
            title: "Breakpoint left in the code",
            severity: Severity::High,
            category: Category::Correctness,
            confidence: 0.95,
            explanation: "The program stops here and waits for someone to type; a service hangs. Remove the call.",
        },
        scope: Scope::code(&[Lang::Ruby]).and_tests(),
        check: Check::Line(&["binding.", "byebug", "debugger"], |at| {
            let call = pattern!(
                r"\bbinding\.(?:pry|irb|b|break|remote_pry)\b(?:\s*$|\s+(?:if|unless)\b|\s*;)|^\s*(?:byebug|debugger)\s*(?:$|\s(?:if|unless)\b)"
            );
            Hit::when(call.is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "php-dump",
            title: "Dump left in the code",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.85,
            explanation: "The visitor sees the value, credentials and paths included, and `dd` ends the request. Remove the call.",
        },
        scope: Scope::code(&[Lang::Php]).and_tests(),
        check: Check::Line(&["var_dump", "dd(", "dump("], |at| {
            Hit::when(pattern!(r"(?:^|[;{}]|<\?php|@)\s*\\?(?:var_dump|dd|ddd|dump)\s*\(").is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "go-debug-print",
            title: "Output for debugging",
            severity: Severity::Low,
            category: Category::Maintainability,
            confidence: 0.8,
            explanation: "The text says that it was meant for a debugging session, and it goes to standard output, where other \
                          programs may read results. Remove it, or use the logger of the project.",
        },
        scope: Scope::code(&[Lang::Go]),
        check: Check::Line(&["fmt.print", "println("], |at| {
            let print = pattern!(
                r#"\b(?:fmt\.Print(?:ln|f)?|println)\(\s*["`](?:(?i:debug)\b|XXX|[Hh]ere\b|HERE|[=>*#-]{3,}\s*(?:"|`|\w+\s*(?::|"|`)))"#
            );
            Hit::when(print.is_match(at.code()) && pattern!(r"\b[pP]rint(?:ln|f)?\(").is_match(at.bare()))
        }),
    },
];

/// Programs that speak to a terminal are left alone.
fn console_log(at: &At<'_>) -> Option<Hit> {
    let path = at.subject.path().to_ascii_lowercase();
    let speaks = pattern!(
        r"(?:^|/)(?:bin|scripts?|cli|tools?|tasks?|build|ci|migrations?|seeds?|benchmarks?|bench)(?:/|\.|-)|(?:^|/)[^/]*(?:\.config\.|cli|logg?er|gulpfile|gruntfile|webpack)[^/]*$"
    );
    let script = at.subject.lines().next().is_some_and(|line| line.number == 1 && line.text.starts_with("#!"));
    let call = pattern!(r"(?:^|[^.\w])console\.(?:log|debug|dir|table|trace)\s*\(");
    Hit::when(!speaks.is_match(&path) && !script && call.is_match(at.bare()))
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::Case> {
    use super::{fires, quiet};

    vec![
        fires("js-console-log", "src/a.ts", "  console.log('user', user);"),
        quiet("js-console-log", "src/a.ts", "  console.error('cannot save', error);"),
        quiet("js-console-log", "src/a.ts", "  // console.log(user);"),
        quiet("js-console-log", "src/a.ts", "  const hint = 'try console.log(user)';"),
        quiet("js-console-log", "src/a.test.ts", "  console.log(user);"),
        quiet("js-console-log", "scripts/release.js", "console.log('released');"),
        quiet("js-console-log", "src/main.js", "#!/usr/bin/env node\nconsole.log('x');"),
        fires("js-debugger", "src/a.ts", "    debugger;"),
        fires("js-debugger", "src/a.ts", "if (x) { debugger; }"),
        quiet("js-debugger", "src/a.ts", "import debugger from './debugger';"),
        quiet("js-debugger", "src/a.ts", "// debugger;"),
        quiet("js-debugger", "src/a.ts", "const mode = 'debugger';"),
        fires("js-focused-test", "src/a.test.ts", "it.only('works', () => {"),
        fires("js-focused-test", "src/a.spec.js", "fdescribe('a', () => {"),
        fires("js-focused-test", "e2e/a.ts", "test.describe.only('a', () => {"),
        quiet("js-focused-test", "src/a.test.ts", "it('works', () => {"),
        quiet("js-focused-test", "src/a.ts", "fit(model, data);"),
        quiet("js-focused-test", "src/a.ts", "query.only('name')"),
        quiet("js-focused-test", "src/a.test.ts", "// it.only('works', () => {"),
        fires("ruby-focused-test", "spec/a_spec.rb", "  it 'works', :focus do"),
        fires("ruby-focused-test", "spec/a_spec.rb", "  fdescribe 'a' do"),
        quiet("ruby-focused-test", "spec/a_spec.rb", "  it 'keeps the focus' do"),
        quiet("ruby-focused-test", "app/a.rb", "  it 'works', :focus do"),
        fires("rust-dbg", "src/a.rs", "    let x = dbg!(f());"),
        quiet("rust-dbg", "src/a.rs", "    // dbg!(f());"),
        quiet("rust-dbg", "src/a.rs", "    let text = \"dbg!(x)\";"),
        quiet("rust-dbg", "src/a.rs", "    log_dbg!(x);"),
        quiet("rust-dbg", "src/a.rs", "mod tests {\n    fn f() {\n        dbg!(1);\n"),
        fires("rust-unfinished", "src/a.rs", "    todo!()"),
        quiet("rust-unfinished", "src/a.rs", "    // todo!()"),
        quiet("rust-unfinished", "tests/a.rs", "    todo!()"),
        fires("python-breakpoint", "a.py", "    import pdb; pdb.set_trace()"),
        fires("python-breakpoint", "a.py", "    breakpoint()"),
        quiet("python-breakpoint", "a.py", "    # breakpoint()"),
        quiet("python-breakpoint", "a.py", "    debugger.breakpoint(line)"),
        quiet("python-breakpoint", "a.py", "def breakpoint(line):"),
        fires("ruby-breakpoint", "app/a.rb", "    binding.pry"),
        fires("ruby-breakpoint", "app/a.rb", "    byebug if user.nil?"),
        quiet("ruby-breakpoint", "Gemfile", "gem 'byebug'"),
        quiet("ruby-breakpoint", "app/a.rb", "    binding.local_variable_get(:x)"),
        quiet("ruby-breakpoint", "app/a.rb", "    # binding.pry"),
        fires("php-dump", "a.php", "    var_dump($user);"),
        fires("php-dump", "a.php", "    dd($request->all());"),
        quiet("php-dump", "a.php", "    $connection->dump($file);"),
        quiet("php-dump", "a.php", "function dd($value) {"),
        quiet("php-dump", "a.php", "    // var_dump($user);"),
        fires("go-debug-print", "a.go", "\tfmt.Println(\"DEBUG\", x)"),
        fires("go-debug-print", "a.go", "\tfmt.Printf(\"here %v\\n\", x)"),
        quiet("go-debug-print", "a.go", "\tfmt.Println(\"usage: tool [flags]\")"),
        quiet("go-debug-print", "a.go", "\tfmt.Println(\"debugging is on\")"),
        quiet("go-debug-print", "a_test.go", "\tfmt.Println(\"DEBUG\", x)"),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::added;
    use crate::diff::Diff;
    use crate::engine::rules::review;

    #[test]
    fn console_output_is_one_finding_per_file() {
        let text = "console.log(1);\nf();\nconsole.log(2);\n";
        let drafts = review(&Diff { files: vec![added("src/a.js", text), added("src/b.js", "console.log(3);\n")] });
        let lines: Vec<_> = drafts.iter().map(|draft| (draft.path.as_str(), draft.start_line)).collect();
        assert_eq!(lines, [("src/a.js", Some(1)), ("src/b.js", Some(1))]);
        assert!(drafts[0].explanation.ends_with(" 1 more added line of this file has the same."));
    }
}
