//! Answers are held against their questions, and keys are what they are.

use std::io::Write;

use ordeal_checker::judge::{JudgeError, Options, Report, Subject, check_file};
use ordeal_checker::verdict::Validity;

fn judge(text: &str, model: Option<Subject>) -> Result<Report, JudgeError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let options = Options {
        model,
        ..Options::default()
    };
    check_file(file.path(), &options)
}

/// One question and its answer, in EDN.
fn asked(f: &str, question: &str, kind: &str, answer: &str, at: u64) -> String {
    format!(
        "{{:process 0, :type :invoke, :f :{f}, :value {question}, :time {at}}}\n\
         {{:process 0, :type :{kind}, :f :{f}, :value {answer}, :time {}}}\n",
        at + 1
    )
}

#[test]
fn an_answer_to_another_question_is_an_error_with_its_line() {
    let txn = Some(Subject::Registers);
    for (f, question, answer, model, said) in [
        (
            "write",
            "3",
            "4",
            None,
            "answers write 4, and write 3 was asked",
        ),
        ("cas", "[nil 3]", "[1 2]", None, "cas nil→3 was asked"),
        ("write", "[7 3]", "[8 3]", None, "another key"),
        ("txn", "[[:r 1 nil]]", "[[:r 2 5]]", txn, "asked"),
        (
            "txn",
            "[[:r 1 nil]]",
            "[[:r 2 [5]]]",
            Some(Subject::ListAppend),
            "its step 1 answers r 2, and r 1 was asked",
        ),
        (
            "txn",
            "[[:append 1 2]]",
            "[[:append 1 3]]",
            Some(Subject::ListAppend),
            "its step 1 answers append 1 3, and append 1 2 was asked",
        ),
        (
            "txn",
            "[[:w 1 2]]",
            "[[:w 1 2] [:r 1 2]]",
            Some(Subject::RwRegister),
            "answers 2 steps, and 1 were asked",
        ),
    ] {
        let error = judge(&asked(f, question, "ok", answer, 1), model).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("line 2") && error.contains(said), "{error}");
    }
}

#[test]
fn an_answer_need_not_repeat_its_question() {
    for (f, question, answer) in [
        ("write", "3", "nil"),
        ("write", "[7 3]", "[7 3]"),
        ("cas", "[nil 3]", "true"),
        ("cas", "[nil 3]", "[nil 3]"),
        ("cas", "[7 [nil 3]]", "[7 true]"),
    ] {
        let judged = judge(&asked(f, question, "ok", answer, 1), None);
        assert_eq!(
            judged.unwrap().finding.validity,
            Validity::Valid,
            "{f} {question}"
        );
    }
}

#[test]
fn a_number_and_the_word_of_its_digits_are_two_keys() {
    let text = asked("write", "[\"1\" 3]", "ok", "[\"1\" 3]", 1)
        + &asked("read", "[1 nil]", "ok", "[1 nil]", 3)
        + &asked("read", "[\"a\" nil]", "ok", "[\"a\" nil]", 5);
    let report = judge(&text, None).unwrap();
    assert_eq!(report.finding.validity, Validity::Valid);
    assert_eq!(report.finding.statistics["keys"], 3);
    let wrong = text + &asked("read", "[\"1\" nil]", "ok", "[\"1\" nil]", 7);
    let wrong = judge(&wrong, None).unwrap().explanation.unwrap();
    assert!(
        wrong.starts_with("Key \"1\" is not linearizable"),
        "{wrong}"
    );
}

#[test]
fn where_everything_failed_there_is_nothing_to_judge() {
    let failed = judge(&asked("dequeue", "nil", "fail", "nil", 1), None).unwrap();
    assert_eq!(failed.finding.validity, Validity::Unknown);
    assert!(failed.finding.summary.starts_with("nothing to judge"));
}

#[test]
fn one_operation_that_is_wrong_by_itself_is_told_so() {
    let text = asked("add", "1", "ok", "1", 1) + &asked("read", "nil", "ok", "2", 3);
    let report = judge(&text, Some(Subject::Counter)).unwrap();
    let message = &report.finding.anomalies[0].message;
    assert!(
        message.contains("nothing that had begun by then"),
        "{message}"
    );
    assert!(!message.contains("still holds"), "{message}");
}
