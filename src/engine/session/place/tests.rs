use super::*;

const STEREO: &str = "v=0\nc=IN IP4 239.1.2.3/4\nm=audio 5004 RTP/AVP 97\na=rtpmap:97 L16/48000/2\n";
const OPUS: &str = "v=0\nc=IN IP4 192.0.2.7\nm=audio 6000 RTP/AVP 111\na=rtpmap:111 opus/48000/2\n";
const TCP: &str = "v=0\na=setup:passive\nm=audio 7000 TCP/RTP/AVP 11\n";

fn listening(told: Told, sdp: &str) -> Result<Listening> {
    Listening::new(told, Some(&Description::parse(sdp).unwrap()))
}

fn url(text: &str) -> Told {
    Told { bind: Some(text.into()), ..Told::default() }
}

fn why_not<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().message().to_owned()
}

fn towards(host: &str) -> ClientConfig {
    ClientConfig { path: Path { host: host.into(), ..Path::default() }, ..ClientConfig::default() }
}

#[test]
fn a_server_that_is_told_nothing_listens_as_always() {
    let l = Listening::new(Told::default(), None).unwrap();
    assert_eq!((l.protocol, l.bind, l.port, l.wire), (Transports::Udp, None, 12_345, None));
    assert_eq!((l.format, l.payloads), (Format::DEFAULT, PayloadTypes::new(Format::DEFAULT)));
}

#[test]
fn a_description_says_group_port_format_and_payload_types() {
    let stereo = Format::new(48_000, 2).unwrap();
    let l = listening(Told::default(), STEREO).unwrap();
    assert_eq!((l.bind.as_deref(), l.port, l.wire), (Some("239.1.2.3"), 5004, Some(Wire::Rtp)));
    assert_eq!((l.format, l.payloads.sound(97).unwrap().format, l.payloads.get(96)), (stereo, stereo, None));
    let l = listening(Told::default(), OPUS).unwrap();
    assert_eq!((l.bind, l.port, l.format), (None, 6000, Format::opus(1)));
    let l = listening(Told::default(), TCP).unwrap();
    assert_eq!((l.protocol, l.port), (Transports::Tcp, 7000));
    assert_eq!(listening(Told::default(), &TCP.replace("passive", "active")).unwrap().port, 12_345);
}

#[test]
fn what_is_told_goes_before_a_description() {
    let told = Told {
        bind: Some("127.0.0.1".into()),
        port: Some(0),
        rate: Some(44_100),
        channels: Some(2),
        ..Told::default()
    };
    let l = listening(told, OPUS).unwrap();
    assert_eq!((l.bind.as_deref(), l.port, l.format), (Some("127.0.0.1"), 0, Format::STEREO));
    assert_eq!(l.payloads.sound(111).unwrap().format, Format::opus(2));
}

#[test]
fn a_description_of_another_transport_or_wire_is_refused() {
    let tcp = Told { protocol: Some(Transports::Tcp), ..Told::default() };
    assert!(why_not(listening(tcp.clone(), OPUS)).contains("must be 'udp'"));
    assert!(listening(tcp, TCP).is_ok());
    let classic = Told { wire: Some(Wire::Classic), ..Told::default() };
    assert!(why_not(listening(classic.clone(), OPUS)).contains("classic"));
    assert!(
        why_not(Listening::new(Told { wire: classic.wire, ..url("rtp://:1") }, None)).contains("classic")
    );
}

#[test]
fn a_described_key_goes_before_a_spare_one_and_a_told_one_before_both() {
    let keys = [1, 2, 3].map(|seed| Key::from_random([seed; 32]));
    let [told, described, spare] = keys.each_ref().map(|key| Some(key.clone()));
    let sealed = format!("{STEREO}a=crypto:1 AEAD_AES_128_GCM {}\n", *keys[1].reveal());
    let key = |told: &Option<Key>, spare: &Option<Key>, sdp: &str| {
        let told = Told { key: told.clone(), spare_key: spare.clone(), ..Told::default() };
        listening(told, sdp).unwrap().key
    };
    assert_eq!(key(&None, &None, &sealed), described);
    assert_eq!(key(&None, &spare, &sealed), described);
    assert_eq!(key(&told, &spare, &sealed), told);
    assert_eq!(key(&told, &spare, STEREO), told);
    assert_eq!(key(&None, &spare, STEREO), spare);
    assert_eq!(key(&None, &None, STEREO), None);
    let plain =
        |told, spare_key| Listening::new(Told { key: told, spare_key, ..Told::default() }, None).unwrap().key;
    assert_eq!((plain(told.clone(), spare.clone()), plain(None, spare.clone())), (told, spare));
}

#[test]
fn sealed_sound_is_refused_where_no_key_is_known() {
    let sealed = OPUS.replace("/AVP", "/SAVP");
    assert!(why_not(listening(Told::default(), &sealed)).contains("key_file="));
    let told = Told { spare_key: Some(Key::from_random([1; 32])), ..Told::default() };
    assert!(listening(told.clone(), &sealed).is_ok());
    let unusable = format!("{sealed}a=crypto:1 F8_128_HMAC_SHA1_80 inline:AAAA\n");
    assert!(why_not(listening(told, &unusable)).contains("F8_128_HMAC_SHA1_80"));
}

#[test]
fn a_server_listens_at_a_url() {
    let l = Listening::new(url("rtp://@:5004"), None).unwrap();
    assert_eq!((l.bind, l.port, l.wire), (None, 5004, Some(Wire::Rtp)));
    let l = Listening::new(url("rtp://@239.1.2.3:5004?ttl=3"), None).unwrap();
    assert_eq!((l.bind.as_deref(), l.port), (Some("239.1.2.3"), 5004));
    let l = listening(url("rtp://@127.0.0.1"), OPUS).unwrap();
    assert_eq!((l.bind.as_deref(), l.port), (Some("127.0.0.1"), 6000));
    assert!(
        why_not(Listening::new(Told { port: Some(1), ..url("rtp://:5004") }, None)).contains("give it once")
    );
    assert!(why_not(Listening::new(url("rtp://:5004?localport=1"), None)).contains("localport"));
    assert!(why_not(Listening::new(url("http://a"), None)).contains("only rtp://"));
}

#[test]
fn a_client_sends_to_a_url() {
    let path = destination(towards("rtp://239.1.2.3:5004?ttl=4&localport=6000")).unwrap().path;
    assert_eq!((path.host.as_str(), path.port, path.ttl, path.local_port), ("239.1.2.3", 5004, 4, 6000));
    let mut config = towards("rtp://@[::1]");
    config.path.port = 6000;
    let path = destination(config).unwrap().path;
    assert_eq!((path.host.as_str(), path.port), ("::1", 6000));
    let plain = towards("studio.local");
    assert_eq!(destination(plain.clone()), Ok(plain));
}

#[test]
fn a_client_says_what_is_wrong_with_its_url() {
    let mut config = towards("rtp://a:5004");
    config.path.port = 6000;
    assert!(why_not(destination(config)).contains("port is 5004 in the URL, and 6000 beside it"));
    let classic = ClientConfig { wire: Wire::Classic, ..towards("rtp://a:5004") };
    assert!(why_not(destination(classic)).contains("wire='classic'"));
    assert!(why_not(destination(towards("rtp://@:5004"))).contains("names nobody"));
}

#[test]
fn a_description_is_a_text_or_a_files() {
    let path = std::env::temp_dir().join(format!("audiostream-{}.sdp", std::process::id()));
    std::fs::write(&path, OPUS).unwrap();
    let name = path.to_str().unwrap();
    assert_eq!(description(name), Description::parse(OPUS));
    assert_eq!(description(OPUS), Description::parse(OPUS));
    std::fs::write(&path, "v=0\nm=audio x\n").unwrap();
    assert!(why_not(description(name)).contains(".sdp: sdp line 2: expected"));
    std::fs::write(&path, vec![0xff; 70_000]).unwrap();
    assert!(why_not(description(name)).contains("at most"));
    std::fs::remove_file(&path).unwrap();
    assert!(why_not(description(name)).contains("cannot read"));
}
