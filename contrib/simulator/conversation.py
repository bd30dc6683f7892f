"""A conversation as the provider keeps it, and the webhooks that tell of it."""
import base64
import json
import random
import time

from .transcript import interview, spoken

AGENT = "agent_3701k3ttaq12ewp8b7qv5rfyszkz"
SHAPES = ("full", "minimal", "call_initiation_failure", "post_call_audio")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

TURN_MAX, TURNS_MAX = 4000, 400

# From the end of a call until its analysis is done.
ANALYSIS_SECS = 2


def conversation_id(rng=None):
    rng = rng or random.SystemRandom()
    return "conv_" + "".join(rng.choice(_ALPHABET) for _ in range(28))


class Conversation:
    """One call. `data()` is what the webhook and the pull API tell of it.

    start and end are whole seconds since 1970; end is None while it goes on. `size` is
    the wished size of the full webhook in bytes, else `turns` counts transcript entries.
    """

    def __init__(self, id=None, agent_id=AGENT, user_id=None, dynamic_variables=None, start=None, duration=None,
                 turns=12, size=None, seed=None, analysis=True, status="done", failure_reason="no-answer"):
        self.rng = random.Random(seed) if seed is not None else random.Random()
        self.id = id or conversation_id(self.rng)
        self.agent_id = agent_id
        self.user_id = user_id
        self.dynamic_variables = dict(dynamic_variables or {})
        self.start = int(time.time() if start is None else start)
        self.end = None if duration is None else self.start + int(duration)
        self.turns = turns
        self.size = size
        self.analysis = analysis
        self.final_status = status
        self.failure_reason = failure_reason
        self.initiated = True  # False for an id that was minted and never used
        self.told = []         # (role, message, second): what was really said, if somebody said it
        self._seed = self.rng.random()

    @property
    def duration(self):
        return None if self.end is None else self.end - self.start

    @property
    def status(self):
        if not self.initiated:
            return "initiated"
        return "in-progress" if self.end is None else self.final_status

    def finish(self, end=None, duration=None):
        if duration is not None:
            end = self.start + int(duration)
        self.end = max(self.start, int(time.time() if end is None else end))

    def tell(self, role, message):
        """One turn; with the first of them the transcript is these, and no longer made up."""
        if role not in ("agent", "user"):
            raise ValueError(f"unknown role {role!r}: agent or user")
        if not isinstance(message, str) or not 0 < len(message) <= TURN_MAX:
            raise ValueError(f"message: a text of 1 to {TURN_MAX} characters")
        if len(self.told) >= TURNS_MAX:
            raise ValueError(f"at most {TURNS_MAX} turns")
        self.told.append((role, message, max(0, int(time.time()) - self.start)))

    def data(self, with_user=True):
        """The full `data`: whoever it is asked for, the same bytes."""
        rng = random.Random(self._seed)
        duration = self.duration or 0
        frame = self._frame(with_user, duration)
        turns, role_name = self._transcript(rng, frame, duration)
        frame["transcript"] = turns
        if self.analysis and self.end is not None:
            frame["analysis"] = _analysis(rng, role_name)
        return frame

    def _transcript(self, rng, frame, duration):
        role = self.dynamic_variables.get("role")
        role = role if isinstance(role, str) and role else None
        if self.told:
            return spoken(list(self.told), self.agent_id), role or "open"
        if self.size is None:
            return interview(rng, self.agent_id, duration, turns=self.turns, role=role)
        around = len(_json({**frame, "analysis": _analysis(random.Random(0), "")})) + 100
        return interview(rng, self.agent_id, duration, size=max(0, self.size - around))

    def _frame(self, with_user, duration):
        user_id = self.user_id if with_user else None
        variables = dict(self.dynamic_variables) if with_user else {}
        variables.update({
            "system__agent_id": self.agent_id, "system__conversation_id": self.id,
            "system__call_duration_secs": duration, "system__timezone": None, "system__caller_id": None,
        })
        return {
            "agent_id": self.agent_id, "agent_name": "Interviewer", "conversation_product": "agents",
            "conversation_id": self.id, "status": self.status, "user_id": user_id, "branch_id": None,
            "environment": "production", "tag_ids": [], "transcript": [],
            "metadata": {
                "start_time_unix_secs": self.start, "accepted_time_unix_secs": self.start,
                "call_duration_secs": duration, "queue_wait_secs": None, "cost": duration * 4,
                "authorization_method": "livekit_token", "phone_call": None, "batch_call": None,
                "termination_reason": "end_call tool was called." if self.end is not None else "",
                "error": None, "warnings": [], "main_language": "en", "rag_usage": None, "text_only": False,
                "initiator_id": None, "conversation_initiation_source": "react_sdk",
                "conversation_initiation_source_version": "1.15.2", "timezone": None,
            },
            "analysis": None,
            "conversation_initiation_client_data": {
                "conversation_config_override": {"agent": {"prompt": None, "first_message": None, "language": "en"}},
                "custom_llm_extra_body": {}, "user_id": user_id,
                "source_info": {"source": "react_sdk", "version": "1.15.2"}, "dynamic_variables": variables,
            },
            "has_audio": True, "has_user_audio": True, "has_response_audio": True,
        }

    def row(self):
        """A row of the list: neither user id nor dynamic variables."""
        return {
            "agent_id": self.agent_id, "agent_name": "Interviewer", "conversation_id": self.id,
            "start_time_unix_secs": self.start, "call_duration_secs": self.duration or 0,
            "message_count": len(self.told) or (self.turns if self.size is None else None), "status": self.status,
            "call_successful": "success" if self.analysis and self.end is not None else "unknown",
            "direction": None, "rating": None,
        }


def _analysis(rng, role_name):
    score = rng.randint(55, 98)
    criteria = {
        "interview_completed": "All sections were covered.",
        "communication": "Answers were clear, with examples of the candidate's own.",
        "problem_solving": "Causes were separated from symptoms before anything was changed.",
    }
    years = rng.randint(2, 15)
    return {
        "evaluation_criteria_results": {
            name: {"criteria_id": name, "result": "success" if rng.random() < 0.8 else "failure",
                   "rationale": rationale, "score": rng.randint(3, 5), "max_score": 5}
            for name, rationale in criteria.items()},
        "data_collection_results": {
            "years_of_experience": {
                "data_collection_id": "years_of_experience", "value": years,
                "json_schema": {"type": "integer", "description": "Years of experience"},
                "rationale": f"The candidate spoke of {years} years."}},
        "call_successful": "success", "call_success_score": score,
        "transcript_summary": f"A structured interview for the {role_name} position was held and completed. "
                              "The candidate gave examples from earlier work and asked about the team.",
        "call_summary_title": f"Interview: {role_name}",
    }


def webhook(conversation, shape="full", with_user=True, event_timestamp=None):
    """The body (bytes) of a webhook about a conversation, in one of SHAPES."""
    if event_timestamp is None:
        event_timestamp = (conversation.end or conversation.start) + ANALYSIS_SECS
    ids = {"agent_id": conversation.agent_id, "conversation_id": conversation.id}
    if shape == "full":
        envelope = {"type": "post_call_transcription", "event_timestamp": event_timestamp,
                    "data": conversation.data(with_user)}
    elif shape == "minimal":
        # Everything that may be null is null, and the time is a string, as one page documents it.
        envelope = {"type": "post_call_transcription", "event_timestamp": str(event_timestamp),
                    "data": {**ids, "status": "done", "transcript": None, "metadata": None, "analysis": None,
                             "conversation_initiation_client_data": None, "user_id": None}}
    elif shape == "call_initiation_failure":
        envelope = {"type": "call_initiation_failure", "event_timestamp": event_timestamp,
                    "data": {**ids, "failure_reason": conversation.failure_reason,
                             "metadata": {"type": "twilio", "body": {
                                 "CallSid": "CA" + "0" * 32, "CallStatus": conversation.failure_reason,
                                 "Direction": "outbound-api", "From": "+15550100000", "To": "+15550100001"}}}}
    elif shape == "post_call_audio":
        audio = b"ID3\x04" + random.Random(conversation.id).randbytes(conversation.size or 48_000)
        envelope = {"type": "post_call_audio", "event_timestamp": event_timestamp,
                    "data": {**ids, "full_audio": base64.b64encode(audio).decode()}}
    else:
        raise ValueError(f"unknown shape {shape!r}; one of {', '.join(SHAPES)}")
    return _json(envelope)


def _json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
