//! Slips in the small pack, each with the line on which the loader must find it.

use tally_domain::legal::LegalBasisRef;
use tally_domain::subject::SubjectType;

use crate::pack::*;

/// One slip in the small pack: in `file`, the first `old` becomes `new`; the fault stands on the
/// first line with `line` after the change, and its message contains `says`.
struct Slip {
    file: &'static str,
    old: &'static str,
    new: &'static str,
    line: &'static str,
    says: &'static str,
}

fn slip(
    file: &'static str,
    old: &'static str,
    new: &'static str,
    line: &'static str,
    says: &'static str,
) -> Slip {
    Slip {
        file,
        old,
        new,
        line,
        says,
    }
}

/// The small pack's files with these slips in them.
fn with(slips: &[&Slip]) -> BTreeMap<String, String> {
    let mut files = embedded_files();
    for slip in slips {
        let text = files.get_mut(slip.file).expect("a file of the pack");
        assert!(
            text.contains(slip.old),
            "{} has no {:?}",
            slip.file,
            slip.old
        );
        *text = text.replacen(slip.old, slip.new, 1);
    }
    files
}

fn line_of(text: &str, needle: &str) -> usize {
    let at = text.find(needle).expect("the line is in the file");
    text[..at].matches('\n').count() + 1
}

fn assert_found(faults: &[LocatedFault], files: &BTreeMap<String, String>, slip: &Slip) {
    let line = line_of(&files[slip.file], slip.line);
    let found = faults.iter().any(|fault| {
        fault.file == slip.file && fault.line == line && fault.message.contains(slip.says)
    });
    let (file, says) = (slip.file, slip.says);
    assert!(found, "no fault {file}:{line} {says:?} in {faults:#?}");
}

const D: &str = "departments.toml";
const B: &str = "legal_bases.toml";
const R: &str = "record_types.toml";
const L: &str = "list_types.toml";
const M: &str = "measures.toml";
const A: &str = "memoranda.toml";
const C: &str = "calendar.toml";
const P: &str = "pack.toml";

/// One slip of every kind.
#[rustfmt::skip]
fn slips() -> Vec<Slip> {
    vec![
        // What cannot be read.
        slip(P, "title = ", "titel = ", "titel", "unknown field `titel`"),
        slip(P, "Asia/Shanghai", "Asia/Shangri-La", "time_zone", "not an IANA time zone"),
        slip(P, "id = \"tally-small\"", "id = \"Tally Small\"", "Tally Small", "an id is 1 to 64"),
        slip(D, "11990000MB0000107X", "11990000MB00001071", "11990000MB00001071", "id: "),
        slip(D, "level = \"city\"", "level = \"town\"", "\"town\"", "unknown variant `town`"),
        slip(D, "division = \"990100\"", "division = 990100", "= 990100", "expected a string"),
        slip(D, "[[department]]", "[[departement]]", "[[departement]]", "expected `[[department]]`"),
        slip(B, "from = 2005-01-01 }", "from = \"1 Jan 2005\" }", "1 Jan", "yyyy-mm-dd"),
        slip(B, "from = 2005-01-01 }", "form = 2005-01-01, from = 2005-01-01 }", "form", "unknown field `form`"),
        slip(B, "departments = \"all\"", "departments = \"any\"", "\"any\"", "\"all\" or a list"),
        slip(R, "fields = [", "field = [", "field = [", "unknown field `field`"),
        slip(R, "kind = \"money\"", "kind = \"gold\"", "\"gold\"", "unknown variant `gold`"),
        slip(R, "12@1", "12", "regulations/12\"", "id@version"),
        slip(L, "explicit = true, months_max", "explicit = true, months_min", "months_min", "no `months_min`"),
        slip(L, "grounds = [\"administrative-licence\"]", "grounds = \"administrative-licence\"", "grounds = \"", "must be a list"),
        slip(M, "strength = ", "strenght = ", "strenght", "unknown field `strenght`"),
        slip(A, "legal_basis = \"tally-credit-regulations/25@1\"", "legal_basis = 25", "= 25", "expected a string"),
        slip(C, "\"2024-02-10/2024-02-17\"", "\"2024-02-17/2024-02-10\"", "2024-02-17/", "before the first day"),
        slip(C, "\"2024-02-10/2024-02-17\"", "\"2024-02-10/2025-02-17\"", "2024-02-10/2025", "at most 31 days"),
        slip(C, "2024-06-10", "2024-06-31", "2024-06-31", "no such day"),
        // What does not fit together.
        slip(D, "division = \"990100\"", "division = \"990102\"", "division = \"990102\"", "another level"),
        slip(D, "division = \"990100\"", "division = \"9901\"", "\"9901\"", "six-digit"),
        slip(D, "    \"grant-honour\",\n", "    \"grant-honour\",\n    \"grant-honor\",\n", "grant-honor\"", "no measure `grant-honor`"),
        slip(D, "    \"grant-honour\",\n", "    \"grant-honour\",\n    \"revoke-honour\",\n", "revoke-honour", "does not cover department"),
        slip(B, "from = 2005-01-01, until = 2015-12-31", "from = 2005-01-01, until = 2004-12-31", "2004-12-31", "before the first day"),
        slip(B, "subject_types = [\"organisation\"]", "subject_types = [\"organisation\", \"organisation\"]", "\"organisation\", ", "named twice"),
        slip(B, "article = \"Article 3", "article = \"\" # \"", "article = \"\"", "must not be empty"),
        slip(R, "report_within_working_days = 7", "report_within_working_days = 0", "= 0", "at least 1 working day"),
        slip(R, "shared_with = \"all\"", "shared_with = \"everyone\"", "\"everyone\"", "\"all\", \"division\" or a list of department ids"),
        slip(L, "shared_with = \"all\"", "shared_with = [\"11990000MB00010701\"]", "11990000MB00010701", "no department"),
        slip(R, "regulations/12@1", "regulations/12@2", "/12@2", "no legal basis `tally-credit-regulations/12@2`"),
        slip(R, "regulations/12@1", "regulations/20@1", "/20@1", "does not cover department 11990102MB000030XF"),
        slip(R, "name = \"party_name\"", "name = \"partyName\"", "partyName", "lower snake case"),
        slip(R, "\"start_date\"", "\"published_until\"", "name = \"published_until\", kind", "comes twice"),
        slip(R, "kind = \"date\" }", "kind = \"date\", max_chars = 3 }", "max_chars = 3 }", "only text has"),
        slip(R, ", max_chars = 512", "", "remarks", "text needs `max_chars`"),
        slip(R, "[\"organisation\"]", "[\"organisation\", \"natural_person\"]", "natural_person", "legal basis of their own"),
        slip(R, "[\"organisation\"]", "[\"organisation\"]\nnatural_person_basis = \"tally-credit-regulations/18@1\"", "natural_person_basis", "does not switch natural persons on"),
        slip(R, "max_chars = 50 }", "max_chars = 50, internal = false }", "internal = false", "personal field is never published"),
        slip(R, "kind = \"money\" }", "kind = \"money\", ends_publication = true }", "kind = \"money\", ends", "only a field of kind `date`"),
        slip(R, "published = true", "published = true\nregisters_when = { field = \"fine\", value = \"1\" }", "registers_when", "needs `registers_subject`"),
        slip(R, "published = true", "registers_subject = true\nregisters_when = { field = \"fines\", value = \"1\" }", "registers_when", "no field `fines`"),
        slip(R, "published = true", "registers_subject = true\nregisters_when = { field = \"legal_representative\", value = \"1\" }", "registers_when", "says nothing in clear"),
        slip(R, "subject_types = [\"organisation\"]", "subject_types = [\"natural_person\"]\nnatural_person_basis = \"tally-credit-regulations/18@1\"", "published = true", "never natural persons"),
        slip(L, "term = {", "# term = {", "[[list_type]]\nid = \"serious", "a black list needs a term"),
        slip(L, "term = { explicit = true, months_max = 36 }", "term = { months_min = 9, months_max = 3 }", "months_min", "greater than"),
        slip(L, "months_max = 36", "months_max = 0", "months_max", "at least 1"),
        slip(L, "[\"administrative-licence\"]", "[\"administrative-license\"]", "administrative-license\"", "no record type"),
        slip(L, "initiators = [\"11990100MB0000203C\"]", "initiators = []", "initiators = []", "at least one department"),
        slip(L, "initiators = [\"11990100MB0000203C\"]", "initiators = [\"11990102MB000030XF\"]", "legal_basis", "does not cover department 11990102MB000030XF"),
        slip(L, "5\nin_force = { from = 2005-01-01 }\n\n", "5\nin_force = { from = 2005-01-01, until = 2004-01-01 }\n\n", "2004-01-01", "before the first day"),
        slip(M, "purposes = [\n    \"licence\",\n    \"project-approval\",\n]", "purposes = []", "purposes = []", "needs a purpose"),
        slip(M, "    \"licence\",\n", "    \"licence\",\n    \"licence\",\n", "    \"licence\",\n    \"project", "named twice"),
        slip(M, "legal_basis = \"tally-credit-regulations/25@1\"", "legal_basis = \"tally-credit-regulations/52@1\"", "/52@1", "no legal basis"),
        slip(A, "list_type = \"honest-taxpayer\"", "list_type = \"honest-tax\"", "honest-tax\"", "no list type"),
        slip(A, "measure = \"grant-honour\"", "measure = \"grant-honours\"", "grant-honours", "no measure"),
        slip(A, "/26@1", "/20@1", "/20@1", "does not cover department 11990102MB000030XF"),
        slip(A, "\"tally-public-funds-rules/9@1\"", "\"tally-public-funds-rules/9@3\"", "9@3", "no legal basis"),
        slip(A, "departments = [\"11990000MB0000107X\"]", "departments = [\"11990102MB000030XF\"]", "departments = [\"11990102", "no power for measure `grant-honour`"),
        slip(A, "departments = [\"11990000MB0000107X\"]", "departments = [\"11990000MB0000107X\", \"11990000MB0000107X\"]", "107X\", \"", "twice"),
        slip(A, "strength = \"recommended\"", "strength = \"mandatory\"", "strength = \"mandatory\"", "cannot make it mandatory"),
        slip(A, "acknowledge_within_working_days = 2", "acknowledge_within_working_days = 0", "= 0", "at least 1 working day"),
        slip(C, "year = 2026", "year = 2028", "year = 2028", "no holiday notice `2026`"),
        slip(C, "\"2024-02-18\"", "\"2024-02-19\"", "\"2024-02-19\"", "working day anyway"),
        slip(C, "\"2024-02-18\"", "\"2024-02-17\"", "    \"2024-02-17\"", "already named"),
        slip(C, "\"2024-06-10\"", "\"2042-06-10\"", "2042-06-10", "too far from 2024"),
    ]
}

#[test]
fn each_slip_is_found_on_its_line() {
    for slip in slips() {
        let files = with(&[&slip]);
        let Err(faults) = from_files(&files) else {
            panic!("{} with {:?} is accepted", slip.file, slip.new);
        };
        assert_found(&faults, &files, &slip);
        assert!(faults.is_sorted());
    }
}

#[test]
#[rustfmt::skip]
fn every_fault_is_found_at_once() {
    let slips = [
        slip(P, "Asia/Shanghai", "Shanghai", "time_zone", "not an IANA time zone"),
        slip(D, "level = \"city\"", "level = \"county\"", "division = \"990100\"", "another level"),
        slip(D, "name = \"Tally County", "nam = \"Tally County", "nam =", "unknown field `nam`"),
        slip(B, "until = 2015-12-31", "until = 2001-12-31", "2001-12-31", "before the first day"),
        slip(R, "name = \"fine\"", "name = \"Fine\"", "\"Fine\"", "lower snake case"),
        slip(R, "kind = \"date\", required", "kind = \"day\", requird", "requird", "unknown variant `day`"),
        slip(R, "kind = \"date\"", "kind = \"date\", maximum = 1", "maximum", "unknown field `maximum`"),
        slip(L, "term = {", "# term = {", "[[list_type]]\nid = \"serious", "needs a term"),
        slip(M, "strength = \"mandatory\"", "strength = \"recommended\"\npolicy = 1", "policy", "unknown field `policy`"),
        slip(A, "list_type = \"serious-violation\"", "list_type = \"serious\"", "\"serious\"", "no list type"),
        slip(A, "measure = \"green-channel\"", "measure = \"red-channel\"", "red-channel", "no measure"),
        slip(C, "\"2022-04-24\"", "\"2022-04-25\"", "2022-04-25", "working day anyway"),
        slip(C, "\"2026-09-20\"", "\"2026-09-31\"", "2026-09-31", "no such day"),
    ];
    let files = with(&slips.iter().collect::<Vec<_>>());
    let faults = from_files(&files).expect_err("many slips");
    for slip in &slips {
        assert_found(&faults, &files, slip);
    }
}

#[test]
fn a_measure_of_the_other_polarity_is_found() {
    let other = slip(
        A,
        "measure = \"revoke-honour\"",
        "measure = \"grant-honour\"",
        "[[memorandum.measures]]\nmeasure = \"grant-honour\"\ndepartments = [\n",
        "incentives follow from red lists",
    );
    let files = with(&[&other]);
    let faults = from_files(&files).expect_err("an incentive on a black list");
    let line = line_of(&files[A], other.line) + 1;
    let found = |fault: &LocatedFault| fault.line == line && fault.message.contains(other.says);
    assert!(faults.iter().any(found), "{faults:#?}");
}

#[test]
fn natural_persons_need_a_basis_of_their_own() {
    let on = slip(
        R,
        "subject_types = [\"organisation\"]",
        "subject_types = [\"organisation\", \"natural_person\"]\nnatural_person_basis = \"tally-credit-regulations/12@1\"",
        "natural_person_basis",
        "a basis of their own, not the item's ordinary one",
    );
    let files = with(&[&on]);
    assert_found(
        &from_files(&files).expect_err("the ordinary basis"),
        &files,
        &on,
    );

    let uncovered = Slip {
        new: "subject_types = [\"organisation\", \"natural_person\"]\nnatural_person_basis = \"tally-credit-regulations/18@1\"",
        says: "does not cover subjects of type natural_person",
        ..on
    };
    let files = with(&[&uncovered]);
    let faults = from_files(&files).expect_err("a basis that is not about persons");
    assert_found(&faults, &files, &uncovered);

    let law = slip(
        B,
        "departments = \"all\"\nsubject_types = [\"organisation\"]\n\n[[legal_basis]]\nid = \"tally-credit-regulations/20\"",
        "departments = \"all\"\nsubject_types = [\"natural_person\"]\n\n[[legal_basis]]\nid = \"tally-credit-regulations/20\"",
        "",
        "",
    );
    let pack = from_files(&with(&[&uncovered, &law])).expect("switched on by its own basis");
    let penalty = pack
        .record_type("administrative-penalty")
        .expect("in the pack");
    let own = LegalBasisRef::new("tally-credit-regulations/18", 1);
    assert_eq!(penalty.basis_for(SubjectType::NaturalPerson), Some(&own));

    let score = slip(
        R,
        "name = \"violation_type\"",
        "name = \"credit_score\"",
        "credit_score",
        "score, rank or grade",
    );
    let files = with(&[&uncovered, &law, &score]);
    assert_found(
        &from_files(&files).expect_err("a person's score"),
        &files,
        &score,
    );
}

#[test]
fn an_id_that_comes_twice_is_found_on_the_second() {
    for (file, table, _) in FILES {
        // The one that has every file.
        let mut files = BuiltIn::Province.files();
        let text = files.get_mut(file).expect("a file of the pack");
        let header = format!("[[{table}]]");
        let first = text.find(&header).expect("has items");
        let second = text[first + 1..].find(&header).expect("has two items") + first + 1;
        let copy = text[first..second].to_owned();
        let line = text.matches('\n').count() + 2;
        text.push_str(&copy);
        let faults = from_files(&files).expect_err(file);
        let twice = |fault: &LocatedFault| fault.message.contains("comes twice");
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert!(twice(&faults[0]));
        // At the id, which follows the header, or at the header where there is no id.
        assert!((line - 1..=line).contains(&faults[0].line), "{faults:#?}");
    }
}

#[test]
fn one_department_is_not_directed_twice_for_one_measure() {
    let mut files = embedded_files();
    let text = files.get_mut(A).expect("a file of the pack");
    let second = text.rfind("[[memorandum]]").expect("two memoranda");
    let copy = text[second..].replace("serious-violation-discipline", "serious-violation-again");
    text.push_str(&copy);
    let faults = from_files(&files).expect_err("directives would come twice");
    assert_eq!(faults.len(), 4, "{faults:#?}");
    assert!(
        faults
            .iter()
            .all(|fault| fault.message.contains("already assigns"))
    );
}

#[test]
fn consequences_of_an_unreadable_item_are_left_out() {
    for bad in [
        slip(M, "kind = \"standing\"", "kind = \"upright\"", "", ""),
        slip(B, "version = 1", "version = \"1\"", "", ""),
        slip(L, "term = {", "term = 3 # {", "", ""),
        slip(D, "    \"revoke-honour\",", "    7,", "", ""),
        slip(C, "year = 2024", "year = 2024\ntitle = \"2024\"", "", ""),
    ] {
        let faults = from_files(&with(&[&bad])).expect_err("one slip");
        assert_eq!(faults.len(), 1, "{faults:#?}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_one_fault_and_a_missing_one_too() {
    let bad = slip(
        M,
        "kind = \"standing\"",
        "kind = ",
        "kind = \n",
        "not valid toml",
    );
    let files = with(&[&bad]);
    let faults = from_files(&files).expect_err("not toml");
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert_found(&faults, &files, &bad);

    let mut files = embedded_files();
    files.remove(B);
    files.insert("measure.toml".into(), String::new());
    let faults = from_files(&files).expect_err("a file is missing");
    let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        text[0],
        "legal_bases.toml:1:1: this file of the pack is missing"
    );
    assert!(text[1].starts_with("measure.toml:1:1: not a file of a policy pack"));
    assert_eq!(text.len(), 2, "{text:#?}");
}

#[test]
fn columns_count_characters() {
    let bad = slip(
        R,
        "name_zh = \"没收金额(万元)\", kind = \"money\"",
        "name_zh = \"没收金额(万元)\", kind = \"gold\"",
        "",
        "",
    );
    let faults = from_files(&with(&[&bad])).expect_err("no such kind");
    let line = r#"    { name = "confiscated", name_zh = "没收金额(万元)", kind = "#;
    assert_eq!(faults[0].column, line.chars().count() + 1);
}
