// Sends a file, a recording of the microphone, or (live) the last seconds of a voice, and shows the
// predictions. Nothing is stored.

const PART = 2048; // samples that the recorder sends at once

const voice = document.querySelector("#voice");
const answer = document.querySelector("#answer");
const input = voice.querySelector("input");
const drop = voice.querySelector(".drop");
const record = voice.querySelector(".record");
const live = voice.querySelector(".live");
const meter = voice.querySelector("meter");
const status = voice.querySelector(".status");
const limits = drop.dataset;
let microphone = null; // while it is open
let pending = null; // AbortController of the latest request
let played = ""; // object URL of the recording that is shown

const say = (text) => { status.textContent = text; };

const joined = (parts) => parts.flatMap((part) => Array.from(part));

function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const word = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  word(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); word(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  word(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) =>
    view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}

async function send(path, recording, show) {
  pending?.abort();
  const own = new AbortController();
  pending = own;
  answer.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(path, {
      method: "POST", body: recording, signal: own.signal,
      headers: { "content-type": "application/octet-stream" },
    });
    if (response.headers.get("content-type").startsWith("text/html")) {
      show(await response.text());
    } else {
      const { title, detail } = await response.json();
      showProblem(`${title}. ${detail}`);
    }
  } catch {
    if (!own.signal.aborted) showProblem("The service can't be reached. Is it running?");
  }
  if (pending === own) {
    pending = null;
    answer.removeAttribute("aria-busy");
  }
}

function showProblem(reason) {
  answer.innerHTML = '<p class="problem" role="alert"><b>No prediction.</b> </p>';
  answer.firstChild.append(reason);
}

function show(html, name, recording) {
  answer.innerHTML = html; // made by the service, without any text from the upload
  answer.querySelector(".facts")?.prepend(`${name}, `);
  URL.revokeObjectURL(played);
  const player = answer.querySelector(".replay");
  if (player) player.src = played = URL.createObjectURL(recording);
}

function analyse(name, recording) {
  if (microphone?.button === live) close();
  if (recording.size > Number(limits.bytes)) {
    say(`${name} is too large: at most ${Math.floor(limits.bytes / 2 ** 20)} MB.`);
    return;
  }
  say(`${name} was sent.`);
  send("page/analysis", recording, (html) => show(html, name, recording));
}

async function open(button) {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers allow the microphone only on pages of this computer, or over https.");
  }
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const context = new AudioContext();
  await context.audioWorklet.addModule("page/static/recorder.js");
  const recorder = new AudioWorkletNode(context, "recorder", {
    channelCount: 1, channelCountMode: "explicit", processorOptions: { partLength: PART },
  });
  context.createMediaStreamSource(stream).connect(recorder);
  const opened = { button, stream, context, parts: [], timer: null, maxParts: Infinity };
  recorder.port.onmessage = ({ data }) => {
    opened.parts.push(data);
    if (opened.parts.length > opened.maxParts) opened.parts.shift();
    meter.value = Math.max(...data.map(Math.abs));
  };
  return opened;
}

function close() {
  const closed = microphone;
  microphone = null;
  clearTimeout(closed.timer);
  clearInterval(closed.timer);
  closed.stream.getTracks().forEach((track) => track.stop());
  closed.context.close();
  closed.button.setAttribute("aria-pressed", "false");
  closed.button.textContent = closed.button.dataset.start;
  meter.value = 0;
  return closed;
}

async function begin(button) {
  record.disabled = live.disabled = true; // two presses must not open the microphone twice
  try {
    microphone = await open(button);
    button.setAttribute("aria-pressed", "true");
    button.textContent = button.dataset.stop;
  } catch (error) {
    const messages = { NotAllowedError: "The microphone was not allowed.",
                       NotFoundError: "No microphone was found." };
    say(messages[error.name] ?? error.message);
  }
  record.disabled = live.disabled = false;
  return microphone !== null;
}

function finishRecording() {
  const { parts, context } = close();
  const samples = joined(parts);
  const start = samples.findIndex((sample) => sample !== 0); // a device starts with zeros
  if (start >= 0) analyse("your recording", wav(samples.slice(start), context.sampleRate));
  else say("Nothing was recorded.");
}

record.onclick = async () => {
  if (microphone?.button === record) return finishRecording();
  if (microphone) close();
  if (!(await begin(record))) return;
  microphone.timer = setTimeout(finishRecording, 1000 * limits.seconds);
  say(`Recording, up to ${limits.seconds} s. Press again to stop.`);
};

live.onclick = async () => {
  if (microphone?.button === live) {
    close();
    return say("Stopped.");
  }
  if (microphone) close();
  if (!(await begin(live))) return;
  const { parts, context } = microphone;
  microphone.maxParts = Math.ceil((limits.liveSeconds * context.sampleRate) / PART);
  microphone.timer = setInterval(() => {
    if (pending || !parts.length) return;
    const recording = wav(joined(parts), context.sampleRate);
    send("page/live", recording, (html) => { answer.innerHTML = html; });
  }, 1000 * limits.everySeconds);
  say("Speak. The prediction is updated every second.");
};

input.onchange = () => {
  const [file] = input.files;
  if (file) analyse(file.name, file);
  input.value = ""; // so that the same file can be chosen again
};

for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    const [file] = (name === "drop" && event.dataTransfer.files) || [];
    if (file) analyse(file.name, file);
  });
}

for (const button of voice.querySelectorAll("[data-example]")) {
  button.onclick = () => {
    if (microphone?.button === live) close();
    const name = `synthetic speech, ${button.dataset.example}`;
    const path = `page/examples/${encodeURIComponent(button.dataset.example)}`;
    send(path, null, (html) => show(html, name));
  };
}
