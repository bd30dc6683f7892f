/** The real interviewer. Loaded only when an agent is configured: the SDK is large. */
import { Conversation } from "@elevenlabs/client";
import audioConcatProcessor from "@elevenlabs/client/worklets/audioConcatProcessor.js?url";
import rawAudioProcessor from "@elevenlabs/client/worklets/rawAudioProcessor.js?url";
import { dynamicVariables, type Call, type CallEvents, type CallOptions } from "./call";

export async function startElevenLabsCall(options: CallOptions, events: CallEvents): Promise<Call> {
  const conversation = await Conversation.startSession({
    agentId: options.agentId!,
    ...(options.agentOrigin === null ? {} : { origin: options.agentOrigin }),
    // Over WebRTC the conversation's id isn't always known here.
    connectionType: "websocket",
    userId: options.user,
    dynamicVariables: dynamicVariables(options),
    workletPaths: { rawAudioProcessor, audioConcatProcessor },
    onMessage: ({ message, role }) => events.onTurn({ role, message }),
    onModeChange: ({ mode }) => events.onMode(mode),
    onDisconnect: ({ reason }) => {
      if (reason !== "user") events.onDisconnect();
    },
  });
  return {
    conversationId: conversation.getId(),
    say(text) {
      conversation.sendUserMessage(text);
      events.onTurn({ role: "user", message: text });
    },
    hangUp: () => conversation.endSession(),
    setMuted: (muted) => conversation.setMicMuted(muted),
  };
}
