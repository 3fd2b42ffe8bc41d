//! Files of cases: what may be written, what is refused, and how that is said.

use berth_policy_cases::{Answer, Change, Fault, Function, Place, Question, Refusal, read};

fn message(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn the_empty_file_has_no_cases() {
    assert_eq!(read(""), Ok(vec![]));
}

#[test]
fn what_is_not_said_has_its_default() {
    let cases = read("[[case]]\nname = 'a'\nfunction = 'place'\nquestion.jobs = [{}]\nanswer.places = [{}]").unwrap();
    assert_eq!(cases[0].surroundings, Default::default());
    let Answer::Place(answer) = &cases[0].expected else { panic!("{:?}", cases[0].expected) };
    assert_eq!(answer.places, [Place::default()]);
    assert_eq!(answer.places[0].weight, 1);
}

#[test]
fn events_are_numbered_and_capabilities_sorted_as_berth_does() {
    let cases = read(
        "[[case]]\nname = 'a'\nfunction = 'on-events'\nanswer = {}\n\
         question.events = [{ change = 'gap' }, { sequence = 9, change = 'gap' }, { change.job-deleted = 'j' }]",
    )
    .unwrap();
    let Question::OnEvents(question) = &cases[0].question else { panic!("{:?}", cases[0].question) };
    assert_eq!(question.events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 9, 10]);
    assert_eq!(question.events[2].change, Change::JobDeleted("j".to_owned()));
}

#[test]
fn a_mistake_is_told_with_the_case_and_the_part() {
    let case = |rest: &str| format!("[[case]]\nname = 'x'\n{rest}");
    assert!(message("cases = 3").starts_with("not a file of cases: "));
    assert!(message("[[case]]\nname = 'x'\nfunction = 'place'\nanser = {}").contains("unknown field `anser`"));
    let unknown = message(&case("function = 'plaice'\nanswer = {}"));
    assert!(
        unknown.starts_with("case \"x\": there is no function \"plaice\"; there are execution-properties"),
        "{unknown}"
    );
    let question = message(&case("function = 'place'\nquestion.job = []\nanswer = {}"));
    assert!(question.starts_with("case \"x\": question: unknown field `job`"), "{question}");
    let answer = message(&case("function = 'place'\nanswer.places = [{ weight = -1 }]"));
    assert!(answer.starts_with("case \"x\": answer: "), "{answer}");
    assert_eq!(message(&case("function = 'place'")), "case \"x\": it has neither `answer` nor `refusal`");
    let both = "function = 'worker-properties'\nanswer = {}\nrefusal.denied = ''";
    assert_eq!(message(&case(both)), "case \"x\": it has both `answer` and `refusal`");
    assert_eq!(message(&case("function = 'place'\nrefusal.denied = ''")), "case \"x\": place cannot refuse");
    let twice = case("function = 'place'\nanswer = {}\n").repeat(2);
    assert_eq!(message(&twice), "case \"x\": there is another case of this name");
}

#[test]
fn every_function_has_a_name_that_is_read_again_and_an_interface() {
    for function in Function::ALL {
        assert_eq!(function.name().parse(), Ok(*function));
        assert!(Fault::NotExported(*function).to_string().ends_with(function.interface()));
    }
}

#[test]
fn a_question_and_an_answer_are_read_from_what_they_are_written_as() {
    let question = serde_json::json!({ "platform": ["b=1", "a=1"] });
    let question = Question::read(Function::ExecutionProperties, question).unwrap();
    assert_eq!(question.to_json()["platform"], serde_json::json!(["a=1", "b=1"]));
    assert_eq!(Question::read(question.function(), question.to_json()).unwrap(), question);
    let refused = Answer::Refused(Refusal::Denied("no".to_owned()));
    assert_eq!(refused.to_json(), serde_json::json!({ "refusal": { "denied": "no" } }));
}
