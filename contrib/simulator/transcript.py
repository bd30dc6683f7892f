"""A job interview, as long as one likes, the same for the same random generator."""
import json

ROLES = ["backend engineer", "data analyst", "nurse manager", "site reliability engineer", "accountant",
         "product designer", "embedded developer", "logistics planner"]

QUESTIONS = [
    "Could you tell me about yourself and what led you to apply for the {role} position?",
    "What did a normal week look like in your last position?",
    "Tell me about a problem at work that took you longer than you expected.",
    "How did you find out what was really wrong?",
    "Describe a disagreement with a colleague. How did it end?",
    "What would your last manager say you should do more of?",
    "How do you decide what to leave undone when there isn't time for everything?",
    "Tell me about a mistake that you made, and what you changed afterwards.",
    "How do you bring a new colleague up to speed?",
    "Which part of this work do you expect to find hardest?",
    "What have you learned in the last year that you use every day?",
    "Say a deadline moves one week forward. What do you do first?",
    "How do you know that your work is good enough to hand over?",
    "What questions do you have for us?",
]

FOLLOW_UPS = ["Thank you, that helps.", "I see. Let me ask about something else.", "That is a clear answer.",
              "Interesting — and how did the others take it?", "Good. We have a few more questions to go."]

SENTENCES = [
    "I had been on the team for {n} years, and we looked after about {m} systems between the {k} of us.",
    "At first we thought it was the network, but the graphs didn't fit that at all.",
    "So I wrote down what we knew, what we guessed, and what would tell the two apart.",
    "It took {n} days, and in the end it was one setting that nobody had owned.",
    "What I took from it is to ask for the evidence early, and to say so when I don't know.",
    "My manager wanted the quick fix; I wanted {n} more hours, and we agreed to do both, in that order.",
    "We met every Tuesday, went through the list, and struck out what didn't matter any more.",
    "Honestly, I was nervous — I hadn't spoken in front of {m} people before.",
    "The customer was «not amused», as she put it, but she stayed with us.",
    "I'd do it differently now: smaller steps, and somebody else reading each of them.",
    "We cut the waiting time from {m} minutes to {n}, mostly by not doing things twice.",
    "I like to draw it first; a picture finds the missing piece faster than a discussion does.",
    "For a new colleague I prepare {k} small tasks that can't go wrong, and one that can.",
    "There were about {m} tickets a month, and {k} of them came back every time.",
    "In Zürich we did it on paper, which sounds slow, but nothing was ever lost.",
    "Yes, I think so — though I would want to see the numbers before I promise anything.",
]


def answer(rng):
    """Some sentences, none of them twice."""
    return " ".join(text.format(n=rng.randint(2, 9), m=rng.randint(12, 90), k=rng.randint(3, 7))
                    for text in rng.sample(SENTENCES, rng.randint(2, 5)))


def _turn(role, message, second, agent_id):
    """One entry with the fields that the provider sends."""
    speaks = role == "agent"
    return {
        "role": role,
        "agent_metadata": {"agent_id": agent_id, "branch_id": None, "workflow_node_id": None,
                           "version_id": None} if speaks else None,
        "message": message, "multivoice_message": None, "tool_calls": [], "tool_results": [],
        "feedback": None, "llm_override": None, "producing_llm": None, "time_in_call_secs": second,
        "conversation_turn_metrics": None if speaks else {
            "metrics": {"convai_asr_trailing_service_latency": {"elapsed_time": 0.21}},
            "convai_asr_provider": None, "convai_tts_model": None},
        "rag_retrieval_info": None, "llm_usage": None, "interrupted": False, "original_message": None,
        "source_medium": None if speaks else "audio",
    }


def _message(rng, role_name, index):
    if index == 0:
        return f"Hello, and welcome. This is the interview for the {role_name} position. Are you ready to begin?"
    if index == 1:
        return "Yes — let's go."
    if index % 2 == 0:
        question = QUESTIONS[(index // 2 - 1) % len(QUESTIONS)].format(role=role_name)
        return question if index < 4 else f"{rng.choice(FOLLOW_UPS)} {question}"
    return answer(rng)


def spoken(told, agent_id):
    """The transcript of what was really said: (role, message, second)."""
    return [_turn(role, message, second, agent_id) for role, message, second in told]


def interview(rng, agent_id, duration, turns=None, size=None, role=None):
    """The transcript: `turns` entries, or as many as make about `size` bytes of JSON."""
    role_name = role or rng.choice(ROLES)
    messages = []
    if size is not None:
        length = 0
        while length < size:
            speaker = "user" if len(messages) % 2 else "agent"
            messages.append(_message(rng, role_name, len(messages)))
            entry = _turn(speaker, messages[-1], 1000, agent_id)
            length += 1 + len(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode())
    else:
        messages = [_message(rng, role_name, index) for index in range(turns)]
    entries = []
    for index, message in enumerate(messages):
        second = int(duration * index / len(messages))
        entries.append(_turn("user" if index % 2 else "agent", message, second, agent_id))
    return entries, role_name
