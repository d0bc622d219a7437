"""Made-up metrics of a participant, good or with the faults that Twilio's tags name."""

from __future__ import annotations

import math
import random
from collections.abc import Collection

from pipelines.simulator.account import Row

QUALITY_TAGS = ("high_packet_loss", "high_jitter", "high_latency", "low_mos")
_PACKETS_A_SECOND = 50


def sample_metrics(
    dice: random.Random, seconds: int, faults: Collection[str], is_silent: bool
) -> Row:
    """Of both directions; one of them has the faults, by Twilio's thresholds.

    Like Twilio's own, they write a whole number with a fraction in one and without in the other.
    """
    faulty = dice.choice(["inbound", "inbound", "inbound", "outbound"]) if faults else None
    silent = dice.choice(["inbound", "outbound"]) if is_silent else None
    return {
        name: _direction(dice, seconds, faults if name == faulty else (), zero)
        | ({"tags": ["silent"]} if name == silent else {})
        for name, zero in (("inbound", 0.0), ("outbound", 0))
    }


def _direction(dice: random.Random, seconds: int, faults: Collection[str], zero: float) -> Row:
    sent, lost = max(seconds, 1) * _PACKETS_A_SECOND, 0
    if "high_packet_loss" in faults or dice.random() < 0.3:
        share = dice.uniform(0.055, 0.14) if "high_packet_loss" in faults else dice.random() / 90
        lost = math.ceil(sent * share)
    jitter, jitters = dice.uniform(0.1, 3.5), dice.uniform(1.2, 3)
    if "high_jitter" in faults:
        jitter, jitters = dice.uniform(7, 25), dice.uniform(3, 5)
    latency = dice.uniform(160, 420) if "high_latency" in faults else dice.uniform(-40, 110)
    mos = dice.uniform(3.6, 4.0) if faults else dice.uniform(4.1, 4.4)
    if "low_mos" in faults:
        mos = dice.uniform(1.6, 3.4)
    return {
        "total_packets_lost": lost,
        "total_packets_received": sent - lost,
        "packet_loss_percentage": round(100 * lost / sent, 2) or zero,
        "jitter": {"avg": round(jitter, 2), "max": round(jitter * jitters, 2)},
        "latency": {
            "avg": round(max(latency, zero), 1) or zero,
            "max": round(max(latency * dice.uniform(1, 1.6), zero), 1) or zero,
        },
        "mos": round(mos, 1),
    }
