use serde_json::json;

use super::*;

/// The key pair of RFC 8037, appendix A, as PKCS#8.
const RFC_8037_PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

fn rfc_8037() -> SigningKey {
    SigningKey::from_pem(RFC_8037_PEM).expect("a key")
}

fn signer() -> Signer {
    let (key, _) = SigningKey::generate().expect("randomness");
    Signer::new(key, JwkSet::default())
}

#[test]
fn public_half_and_thumbprint_are_those_of_the_standards() {
    // RFC 8037, A.2 and A.3.
    let key = rfc_8037();
    assert_eq!(key.jwk().x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(key.jwk().kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_signature_is_that_of_the_standard() {
    // RFC 8037, A.4: header {"alg":"EdDSA"} and a payload that is no JSON.
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = BASE64URL.encode(rfc_8037().pair.sign(signed.as_bytes()).as_ref());
    assert_eq!(
        signature,
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

#[test]
fn what_was_signed_holds_and_is_the_same_each_time() {
    let signer = signer();
    let payload = json!({"outcome": "CLEAR", "on": "2026-03-02"});
    let jws = signer.sign(&payload);
    assert_eq!(jws, signer.sign(&payload));
    let verified = signer.published().verify(&jws).expect("it holds");
    assert_eq!(verified.payload, payload);
    // A file ends with a line end.
    assert!(signer.published().verify(&format!("{jws}\n")).is_ok());
}

#[test]
fn one_changed_character_anywhere_does_not_hold() {
    let signer = signer();
    let jws = signer.sign(&json!({"outcome": "CLEAR"}));
    for (at, old) in jws.char_indices() {
        let new = if old == 'A' { 'B' } else { 'A' };
        let mut altered = jws.clone();
        altered.replace_range(at..=at, &new.to_string());
        assert!(
            signer.published().verify(&altered).is_err(),
            "changed at {at}"
        );
    }
}

#[test]
fn another_key_and_another_algorithm_do_not_hold() {
    let (one, other) = (signer(), signer());
    let jws = one.sign(&json!({}));
    let kid = one.key.jwk().kid.clone();
    assert_eq!(
        other.published().verify(&jws),
        Err(JwsError::KeyUnknown { kid: kid.clone() })
    );
    let body = jws.split_once('.').expect("parts").1;
    for header in [
        json!({"alg": "none", "kid": kid, "typ": "JWT"}),
        json!({"alg": "HS256", "kid": kid, "typ": "JWT"}),
        json!({"alg": "EdDSA", "kid": kid, "typ": "JWT", "crit": ["exp"]}),
    ] {
        let forged = format!("{}.{body}", encoded(&header));
        let outcome = one.published().verify(&forged);
        assert!(
            matches!(outcome, Err(JwsError::Malformed { .. })),
            "{header}: {outcome:?}"
        );
    }
}

#[test]
fn keys_before_the_present_one_stay_published() {
    let old = signer();
    let receipt = old.sign(&json!({"n": 1}));
    let (key, _) = SigningKey::generate().expect("randomness");
    let new = Signer::new(key, old.published().clone());
    assert_eq!(new.published().keys.len(), 2);
    assert!(new.published().verify(&receipt).is_ok());
    assert!(new.published().verify(&new.sign(&json!({}))).is_ok());
}

#[test]
fn a_key_is_kept_and_read_again() {
    let (key, text) = SigningKey::generate().expect("randomness");
    assert_eq!(SigningKey::from_pem(&text).expect("a key").jwk(), key.jwk());
    for text in ["", "nothing", &text.replace("PRIVATE", "PUBLIC")] {
        let read = SigningKey::from_pem(text);
        assert!(matches!(read, Err(KeyError::Malformed { .. })), "{text:?}");
    }
}

#[test]
fn a_set_is_read_as_it_is_written_and_its_ids_are_held_to() {
    let set = signer().published().clone();
    assert_eq!(JwkSet::parse(&set.to_string()), Ok(set.clone()));
    assert_eq!(JwkSet::parse_own(&set.to_string()), Ok(set.clone()));
    let mut renamed = set;
    renamed.keys[0].kid = rfc_8037().jwk().kid.clone();
    let renamed = renamed.to_string();
    assert_eq!(JwkSet::parse(&renamed), Ok(JwkSet::default()));
    let own = JwkSet::parse_own(&renamed);
    assert!(matches!(own, Err(JwsError::Malformed { .. })), "{own:?}");
    for text in ["", "[]", "{}", r#"{"keys":{}}"#] {
        assert!(JwkSet::parse(text).is_err(), "{text}");
    }
}

#[test]
fn keys_of_others_in_a_set_are_ignored() {
    let signer = signer();
    let jws = signer.sign(&json!({"n": 1}));
    let ours = json!(signer.published().keys[0]);
    let mut without_kid = json!(rfc_8037().jwk());
    without_kid.as_object_mut().expect("members").remove("kid");
    let foreign = [
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "2024", "alg": "RS256"}),
        json!({"kty": "EC", "crv": "P-256", "x": ours["x"], "y": "AA", "kid": ours["kid"]}),
        json!({"kty": "OKP", "crv": "X25519", "x": ours["x"], "kid": ours["kid"]}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "short"}),
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"kty": 7}),
        json!("not a key"),
        without_kid,
    ];
    for at in 0..=foreign.len() {
        let mut keys = foreign.to_vec();
        keys.insert(at, ours.clone());
        let text = json!({"keys": keys}).to_string();
        let set = JwkSet::parse(&text).expect("a set");
        assert_eq!(&set, signer.published());
        assert!(set.verify(&jws).is_ok());
        let own = JwkSet::parse_own(&text);
        assert!(matches!(own, Err(JwsError::Malformed { .. })), "{own:?}");
    }
    // Libraries leave out what is optional when they write a set anew.
    let bare = json!({"keys": [{
        "kty": "OKP", "crv": "Ed25519", "x": ours["x"], "kid": ours["kid"]
    }]});
    let set = JwkSet::parse(&bare.to_string()).expect("a set");
    assert!(set.verify(&jws).is_ok());
    let only_foreign = json!({"keys": foreign}).to_string();
    let set = JwkSet::parse(&only_foreign).expect("a set");
    let kid = signer.key.jwk().kid.clone();
    assert_eq!(set.verify(&jws), Err(JwsError::KeyUnknown { kid }));
}
