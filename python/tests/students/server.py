"""A server as students wrote it for the original classes; only the import differs (see `test_student_scripts.py`)."""

import argparse
import logging
import sys
from logging.handlers import RotatingFileHandler

from audiostream import AdvancedAudioServer


def setup_logging():
    logger = logging.getLogger()
    logger.setLevel(logging.DEBUG)
    formatter = logging.Formatter("%(asctime)s - %(levelname)s - %(message)s")
    for handler in (
        logging.StreamHandler(),
        RotatingFileHandler("audio_stream.log", maxBytes=5 * 1024 * 1024, backupCount=3),
    ):
        handler.setFormatter(formatter)
        logger.addHandler(handler)


def main():
    setup_logging()
    parser = argparse.ArgumentParser(description="Audio server")
    parser.add_argument("--protocol", choices=["udp", "tcp"], default="udp")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--size", type=int, choices=range(10, 160, 10), default=10)
    args = parser.parse_args()
    try:
        server = AdvancedAudioServer(protocol=args.protocol, port=args.port, size=args.size)
        print("listening", flush=True)
        server.run()
    except Exception as error:
        logging.exception("Server failed: %s", error)
        sys.exit(1)
    print(f"received {server.total_packets}, lost {server.lost_packets}, last {server.last_received_sequence}")


if __name__ == "__main__":
    main()
