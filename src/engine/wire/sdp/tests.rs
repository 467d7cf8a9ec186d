use proptest::prelude::*;

use super::*;
use crate::engine::coding::Coding;
use crate::engine::format::Format;

fn sound(coding: Coding, rate: u32, channels: u16) -> Payload {
    Payload::Sound(Encoding { coding, format: Format::new(rate, channels).unwrap() })
}

fn types(of: &Description) -> Vec<(u8, Payload)> {
    of.types.iter().collect()
}

fn why_not(text: &str) -> String {
    Description::parse(text).unwrap_err().message().to_owned()
}

/// What `ffmpeg -f rtp` prints for its static type, header line and all.
const FFMPEG: &str = "SDP:\nv=0\no=- 0 0 IN IP4 127.0.0.1\ns=No Name\nc=IN IP4 239.1.2.3/3\nt=0 0\na=tool:libavformat 61.7.100\nm=audio 5010 RTP/AVP 11\nb=AS:705\n\n";

const GSTREAMER: &str = "v=0\r\no=- 1188340656180883 1 IN IP4 127.0.0.1\r\ns=Session streamed by GStreamer\r\ni=server.sh\r\nt=0 0\r\na=tool:GStreamer\r\na=type:broadcast\r\nm=audio 5002 RTP/AVP 96\r\nc=IN IP4 127.0.0.1\r\na=rtpmap:96 OPUS/48000/2\r\na=framesize:96 960\r\na=fmtp:96 sprop-stereo=1;sprop-maxcapturerate=48000\r\na=x-note:\u{e9}t\u{e9}\r\n";

const VLC: &str = "v=0\r\no=- 16789012345678901234 16789012345678901235 IN IP6 fe80::1%eth0\r\ns=Unnamed\r\ni=N/A\r\nc=IN IP6 ff15::101/3\r\nt=0 0\r\na=tool:vlc 3.0.21\r\na=recvonly\r\na=type:broadcast\r\na=charset:UTF-8\r\nm=audio 5004/2 RTP/AVP 96 14\r\nb=AS:1536\r\nb=RR:0\r\na=rtpmap:96 L16/48000/2\r\na=rtpmap:14 MPA/90000\r\na=ptime:20\r\n";

/// As a browser or a gateway writes them, forwarded as plain RTP.
const BROWSER: &str = "v=0
o=- 7017624586836067756 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic: WMS stream
m=video 0 UDP/TLS/RTP/SAVPF 100
c=not even read
m=audio 6000 RTP/SAVPF 63 111 9 0 8 13 110 126
c=IN IP4 192.0.2.7
a=rtcp:6001 IN IP4 192.0.2.7
a=candidate:1 1 udp 2113937151 192.0.2.7 6000 typ host
a=ice-ufrag:khLS
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendonly
a=rtcp-mux
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1; stereo=1 ;MaxAverageBitrate=96000
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:110 telephone-event/48000
a=fmtp:110 0-15
a=maxptime:120
a=ssrc:1000 cname:Ch1@example.com
a=ssrc:1000 msid:stream track
a=ssrc:1010 cname:Ch1@example.com
a=ssrc-group:FID 1 2
a=ssrc-group:DUP 1000 1010
a=duplication-delay:50 100
m=audio 7000 RTP/AVP 11
";

#[test]
fn ffmpegs_descriptions_are_read() {
    let d = Description::parse(FFMPEG).unwrap();
    assert_eq!((d.address.as_deref(), d.ttl, d.port), (Some("239.1.2.3"), Some(3), 5010));
    assert_eq!(d.group(), "239.1.2.3".parse().ok());
    assert_eq!(types(&d), [(11, sound(Coding::L16, 44_100, 1))]);
    assert_eq!((d.bandwidth, d.name.as_str()), (Some(705), "No Name"));
}

#[test]
fn gstreamers_descriptions_are_read() {
    let d = Description::parse(GSTREAMER).unwrap();
    assert_eq!((d.address.as_deref(), d.port, d.group()), (Some("127.0.0.1"), 5002, None));
    assert_eq!(types(&d), [(96, sound(Coding::Opus, 48_000, 2))]);
}

#[test]
fn vlcs_descriptions_are_read() {
    let d = Description::parse(VLC).unwrap();
    assert_eq!((d.address.as_deref(), d.ttl, d.port), (Some("ff15::101"), None, 5004));
    assert_eq!(types(&d), [(96, sound(Coding::L16, 48_000, 2))]);
    assert_eq!((d.ptime, d.direction), (Some(Duration::from_millis(20)), Direction::Receive));
    assert_eq!(d.origin.session, 16_789_012_345_678_901_234);
    assert!(d.group().is_some());
}

#[test]
fn what_means_nothing_to_us_is_passed_over() {
    let d = Description::parse(BROWSER).unwrap();
    let narrow = |coding| sound(coding, 8_000, 1);
    assert_eq!(
        types(&d),
        [
            (63, Payload::Redundant),
            (111, sound(Coding::Opus, 48_000, 2)),
            (0, narrow(Coding::Pcmu)),
            (8, narrow(Coding::Pcma)),
            (13, Payload::Comfort(8_000)),
            (110, Payload::Events(48_000)),
        ]
    );
    assert_eq!(d.first_sound().unwrap().0, 111);
    let bitrate = Some(96_000);
    let opus =
        OpusParameters { max_average_bitrate: bitrate, stereo: true, fec: true, ..OpusParameters::default() };
    assert_eq!((d.opus, d.redundant), (opus, vec![111, 111]));
    assert_eq!((d.rtcp_port, d.rtcp_mux, d.max_ptime), (Some(6001), true, Some(Duration::from_millis(120))));
    assert_eq!((d.duplicates, d.duplication_delay), (vec![(1000, 1010)], Some(Duration::from_millis(50))));
    assert_eq!(d.sources.iter().map(|source| source.ssrc).collect::<Vec<_>>(), [1000, 1010]);
    assert_eq!((d.crypto.len(), d.direction), (1, Direction::Send));
    assert_eq!(d.transport.name(), "RTP/SAVPF");
}

#[test]
fn the_first_audio_that_can_be_played_is_taken() {
    let text = "v=0\nc=IN IP4 192.0.2.1\nm=audio 0 RTP/AVP 0\nm=audio 9 UDP/TLS/RTP/SAVPF 111\nm=audio 4 RTP/AVP 33\n m=audio 5000 RTP/AVP 97\n a=rtpmap:97 L24/96000/2\nm=audio 6000 RTP/AVP 0";
    let d = Description::parse(text).unwrap();
    assert_eq!((d.port, types(&d)), (5000, vec![(97, sound(Coding::L24, 96_000, 2))]));
    assert_eq!(d.address.as_deref(), Some("192.0.2.1"));
}

#[test]
fn a_stream_over_tcp_says_who_connects() {
    let text =
        "v=0\na=setup:passive\nm=audio 12345 TCP/RTP/AVP 11\nc=IN IP4 studio.local\na=connection:new\n";
    let d = Description::parse(text).unwrap();
    let expected =
        Transport { protocol: Protocol::Tcp, feedback: false, secure: false, setup: Some(Setup::Passive) };
    assert_eq!((d.transport, d.address.as_deref()), (expected, Some("studio.local")));
    let active = Description::parse(&text.replace("passive", "active").replace("12345", "9")).unwrap();
    assert_eq!((active.transport.setup, active.port), (Some(Setup::Active), 9));
}

#[test]
fn a_map_may_give_a_static_type_another_meaning_and_says_what_a_dynamic_one_means() {
    let d = Description::parse(
        "m=audio 1 RTP/AVP 0 96 97 98 99 128 11\na=rtpmap:0 PCMU/16000\na=rtpmap:97 opus/44100\na=rtpmap:98 L16/48000/6\na=rtpmap:99 L16/7999",
    );
    assert_eq!(
        types(&d.unwrap()),
        [(0, sound(Coding::Pcmu, 16_000, 1)), (11, sound(Coding::L16, 44_100, 1))]
    );
}

#[test]
fn opus_says_by_its_parameters_whether_it_is_stereo() {
    for (parameters, channels) in
        [("", 1), ("sprop-stereo=1", 2), ("stereo=1", 2), ("stereo=1;sprop-stereo=0", 1), ("x; ;=;stereo", 1)]
    {
        let text = format!("m=audio 1 RTP/AVP 96\na=rtpmap:96 opus/48000/2\na=fmtp:96 {parameters}");
        let d = Description::parse(&text).unwrap();
        assert_eq!(d.types.sound(96).unwrap().format, Format::opus(channels), "{parameters}");
    }
}

#[test]
fn an_error_names_the_line_and_what_was_expected_there() {
    for (text, line, what) in [
        ("v=1\nm=audio 1 RTP/AVP 0", 1, "'v=0'"),
        ("v=0\n\nc=IN IP4\nm=audio 1 RTP/AVP 0", 3, "c=IN IP4 ADDRESS"),
        ("c=IN IP4 239.1.1.1/256\nm=audio 1 RTP/AVP 0", 1, "c=IN IP4 ADDRESS"),
        ("c=ATM NSAP 1\nm=audio 1 RTP/AVP 0", 1, "c=IN IP4 ADDRESS"),
        ("c=IN IP4 a;b\nm=audio 1 RTP/AVP 0", 1, "c=IN IP4 ADDRESS"),
        ("v=0\nm=audio five RTP/AVP 0", 2, "m=audio PORT"),
        ("v=0\nm=audio 70000 RTP/AVP 0", 2, "m=audio PORT"),
        ("v=0\nm=audio 0 RTP/AVP 0", 2, "a port above 0"),
        ("v=0\nm=audio 5004", 2, "the protocol RTP/AVP"),
        ("v=0\nm=audio 5004 udp 0", 2, "the protocol RTP/AVP"),
        ("v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 111\na=rtpmap:111 opus/48000/2", 2, "the keys of DTLS"),
        ("v=0\nm=audio 5004 RTP/AVP 96", 2, "an audio payload type that can be played"),
        ("v=0\nm=audio 5004 RTP/AVP 63\na=rtpmap:63 red/8000", 2, "an audio payload type that can be played"),
        ("v=0\nm=audio 5004 RTP/AVP 96\na=rtpmap:96 L16", 3, "a=rtpmap:TYPE NAME/RATE"),
        ("v=0\nm=audio 5004 RTP/AVP 96\na=rtpmap:L16/48000", 3, "a=rtpmap:TYPE NAME/RATE"),
    ] {
        let message = why_not(text);
        assert!(message.starts_with(&format!("sdp line {line}: expected ")), "{message}");
        assert!(message.contains(what), "{message}");
    }
    for text in ["", "v=0\nm=video 1 RTP/AVP 96\n", "RIFF\u{0}WAVE", "m=", "hello"] {
        assert!(why_not(text).contains("describes no audio"), "{text}");
    }
}

#[test]
fn a_flood_is_refused_or_kept_small() {
    assert!(why_not(&"a".repeat(64 * 1024 + 1)).contains("65536 at most"));
    assert!(why_not(&"a=\n".repeat(2_001)).contains("sdp line 2001: too many lines"));
    let long = "x".repeat(10_000);
    let mut text = format!("s={long}\nm=audio 1 RTP/AVP 0 0 0\n");
    for i in 0..40 {
        let entry = format!("a=ssrc:{i} cname:{i}\na=ssrc-group:DUP {i} 1 2 3\na=crypto:{i} key\n");
        text.push_str(&entry);
    }
    let d = Description::parse(&text).unwrap();
    assert_eq!((d.name.len(), d.sources.len(), d.duplicates.len(), d.crypto.len()), (255, 32, 32, 16));
    let message = why_not(&format!("c=IN IP4 {}", "y".repeat(60_000)));
    assert!(message.len() < 200, "{} bytes", message.len());
}

#[test]
fn what_is_written_is_laid_out_as_rfc_8866_orders_it() {
    let mut types = PayloadTypes::empty();
    types.set(11, sound(Coding::L16, 44_100, 1));
    let mut d = Description::new(Some("239.1.2.3".into()), 12_345, types);
    d.ttl = Some(4);
    d.ptime = Some(Duration::from_micros(2_500));
    d.rtcp_mux = true;
    d.sources = vec![SourceName { ssrc: 7, cname: "a@b".into() }];
    d.direction = Direction::Receive;
    assert_eq!(
        d.write(),
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 239.1.2.3/4\r\nt=0 0\r\nm=audio 12345 RTP/AVP 11\r\na=rtpmap:11 L16/44100/1\r\na=ptime:2.5\r\na=recvonly\r\na=rtcp-mux\r\na=ssrc:7 cname:a@b\r\n"
    );
    let mut types = PayloadTypes::empty();
    types.set(116, Payload::Redundant);
    types.set(111, sound(Coding::Opus, 48_000, 1));
    let mut d = Description::new(Some("::1".into()), 1, types);
    d.redundant = vec![111, 111];
    d.opus.fec = true;
    let text = d.write();
    for line in [
        "c=IN IP6 ::1",
        "m=audio 1 RTP/AVP 116 111",
        "a=rtpmap:116 red/48000/2",
        "a=fmtp:116 111/111",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 sprop-stereo=0;useinbandfec=1",
    ] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}\n{text}");
    }
}

#[test]
fn real_descriptions_survive_being_written_again() {
    for text in [FFMPEG, GSTREAMER, VLC, BROWSER] {
        let d = Description::parse(text).unwrap();
        assert_eq!(Description::parse(&d.write()), Ok(d));
    }
}

fn payloads() -> impl Strategy<Value = Vec<(u8, Payload)>> {
    let pcm = prop::sample::select(vec![Coding::L16, Coding::L24, Coding::Pcmu, Coding::Pcma]);
    let pcm = (pcm, 8_000u32..=192_000, 1u16..=2)
        .prop_map(|(coding, rate, channels)| sound(coding, rate, channels));
    let opus = (1u16..=2).prop_map(|channels| sound(Coding::Opus, 48_000, channels));
    let one = (0u8..128, prop_oneof![pcm, opus, Just(Payload::Redundant)]);
    (prop::collection::vec(one, 0..6), 0u8..128, 1u16..=2).prop_map(|(mut all, last, channels)| {
        all.push((last, sound(Coding::L16, 44_100, channels)));
        all
    })
}

fn times() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of((1u64..=60_000_000).prop_map(Duration::from_micros))
}

prop_compose! {
    fn descriptions()(
        payloads in payloads(),
        (session, version, port) in (any::<u64>(), any::<u64>(), 1u16..),
        name in "[!-~][ -~]{0,40}[!-~]",
        address in prop_oneof!["[a-z][a-z0-9-]{0,20}(\\.[a-z]{2,5})?", Just("192.0.2.7".into()), Just("ff15::101".into())],
        (ttl, ptime, max_ptime, duplication_delay) in (any::<Option<u8>>(), times(), times(), times()),
        (rtcp_port, rtcp_mux, bandwidth) in (prop::option::of(1u16..), any::<bool>(), any::<Option<u32>>()),
        (tcp, feedback, secure) in any::<(bool, bool, bool)>(),
        setup in prop::sample::select(vec![None, Some(Setup::Active), Some(Setup::Passive), Some(Setup::Either), Some(Setup::Hold)]),
        direction in prop::sample::select(vec![Direction::Both, Direction::Send, Direction::Receive, Direction::Inactive]),
        sources in prop::collection::vec((any::<u32>(), "[!-~]{1,30}"), 0..5),
        duplicates in prop::collection::vec(any::<(u32, u32)>(), 0..5),
        crypto in prop::collection::vec("[!-~]{1,80}", 0..3),
        opus in any::<(Option<u32>, Option<u32>, bool, bool, bool)>(),
        redundant in prop::collection::vec(0u8..128, 0..5),
    ) -> Description {
        let mut types = PayloadTypes::empty();
        for (payload_type, payload) in payloads {
            types.set(payload_type, payload);
        }
        let has = |wanted: fn(Payload) -> bool| types.iter().any(|(_, payload)| wanted(payload));
        let has_opus = has(|p| matches!(p, Payload::Sound(Encoding { coding: Coding::Opus, .. })));
        let has_red = has(|p| p == Payload::Redundant);
        let (max_playback_rate, max_average_bitrate, stereo, fec, dtx) = opus;
        let opus = OpusParameters { max_playback_rate, max_average_bitrate, stereo, fec, dtx };
        Description {
            origin: Origin { session, version, address: address.clone() },
            name,
            ttl: ttl.filter(|_| !address.contains(':')),
            opus: if has_opus { opus } else { OpusParameters::default() },
            redundant: if has_red { redundant } else { Vec::new() },
            ptime, max_ptime, rtcp_port, rtcp_mux, duplicates, duplication_delay, direction, bandwidth, crypto,
            sources: sources.into_iter().map(|(ssrc, cname)| SourceName { ssrc, cname }).collect(),
            transport: Transport { protocol: if tcp { Protocol::Tcp } else { Protocol::Udp }, feedback, secure, setup },
            ..Description::new(Some(address), port, types)
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(description in descriptions()) {
        prop_assert_eq!(Description::parse(&description.write()), Ok(description));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}", pieces in prop::collection::vec(piece(), 0..20)) {
        let _ = Description::parse(&text);
        let text = pieces.concat();
        if let Ok(description) = Description::parse(&text) {
            prop_assert_eq!(Description::parse(&description.write()), Ok(description));
        }
    }
}

/// Parts of lines, right and wrong, in any order.
fn piece() -> impl Strategy<Value = String> {
    let parts = [
        "v=0\n",
        "m=audio ",
        "5004/2 ",
        "RTP/AVP ",
        "TCP/RTP/SAVPF ",
        "96 97 11\n",
        "c=IN IP4 ",
        "c=IN IP6 ",
        "239.1.1.1/3",
        "a=rtpmap:96 L16/48000/2\n",
        "a=rtpmap:97 opus/48000/2\r\n",
        "a=fmtp:97 stereo=1;\n",
        "a=rtpmap:97 red/48000\n",
        "a=fmtp:97 96/96\n",
        "a=ssrc:",
        "1 cname:x\r\r\n",
        "a=ssrc-group:DUP 1 2 3\n",
        "a=ptime:2.5\n",
        "a=ptime:",
        "\n",
        "\r\n",
        "=",
        "a=crypto:\n",
        "s= \u{85}\u{a0}\n",
        "a=rtcp:",
        "70000\n",
    ];
    prop_oneof![4 => prop::sample::select(parts.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}
