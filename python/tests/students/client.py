"""A client as students wrote it for the original classes; only the import differs (see `test_student_scripts.py`)."""

import argparse
import threading
import time
import wave

from audiostream import AudioClient


class LoudClient(AudioClient):
    """Counts what it sends, as the assignment asked."""

    packets = 0

    def send_audio(self):  # pyright: ignore[reportIncompatibleMethodOverride]
        super().send_audio()
        self.packets += 1


def record_for(client, seconds):
    client.start_recording(duration=seconds)
    print(f"Recording {seconds} s")
    while client.is_recording:
        time.sleep(0.1)
    client.stop_recording()


def record_until_enter(client):
    client.start_recording()
    input("Press Enter to stop recording\n")
    frames = b"".join(client.recorded_frames)
    client.stop_recording("manual.wav")
    with wave.open("copy.wav", "wb") as copy:
        copy.setnchannels(client.CHANNELS)
        copy.setsampwidth(2 if client.FORMAT == 8 else 4)
        copy.setframerate(client.RATE)
        copy.writeframes(frames)


def main():
    parser = argparse.ArgumentParser(description="Audio client")
    parser.add_argument("--protocol", choices=["udp", "tcp"], default="udp")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--size", type=int, choices=range(10, 160, 10), default=10)
    args = parser.parse_args()

    client = LoudClient(protocol=args.protocol, host=args.host, port=args.port, size=args.size)
    streaming = threading.Thread(target=client.run)
    streaming.start()
    try:
        choice = input("1: record N seconds, 2: record until Enter: ")
        if choice == "1":
            record_for(client, float(input("Seconds: ")))
        elif choice == "2":
            record_until_enter(client)
        while client.sequenceNumber < 20:
            time.sleep(0.01)
    except KeyboardInterrupt:
        print("Interrupted")
    finally:
        client.stop_event.set()
        streaming.join()
        client.cleanup()
    print(f"sent {client.packets} packets of {client.NUMCHUNKS * client.CHUNK} frames")


if __name__ == "__main__":
    main()
