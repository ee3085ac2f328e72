// A browser's phone under node: JsSIP or SIP.js registers over WebSocket, then answers one call or makes one.
//   node phone.mjs jssip|sipjs URL USER@DOMAIN PASSWORD answer|message|call:USER@DOMAIN
// Says on stdout what happens, a word a line; "done" is the last one. There is no sound: the session description is a text.
import { createRequire } from 'node:module';
const require = createRequire(process.cwd() + '/');
globalThis.window ??= globalThis;
globalThis.WebSocket ??= require('ws');
const [, , library, url, aor, password, task] = process.argv;
const SDP = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n';
const [user] = aor.split('@');
const say = (word) => console.log(word);
const end = (status) => setTimeout(() => process.exit(status), 100);
setTimeout(() => { say('too late'); process.exit(1); }, 20000).unref();
const callee = task.startsWith('call:') ? `sip:${task.slice(5)}` : null;

function jssip() {
	const JsSIP = require('jssip');
	// What JsSIP asks of a browser's media.
	globalThis.RTCSessionDescription = class { constructor(of) { Object.assign(this, of); } };
	globalThis.RTCPeerConnection = class extends EventTarget {
		iceGatheringState = 'complete'; signalingState = 'stable'; connectionState = 'new'; iceConnectionState = 'new';
		async createOffer() { return { type: 'offer', sdp: SDP }; }
		async createAnswer() { return { type: 'answer', sdp: SDP }; }
		async setLocalDescription(to) { this.localDescription = to; }
		async setRemoteDescription(to) { this.remoteDescription = to; }
		addTrack() {} getSenders() { return []; } getReceivers() { return []; } close() {}
	};
	const media = { getTracks: () => [], getAudioTracks: () => [], getVideoTracks: () => [] };
	Object.defineProperty(globalThis, 'navigator', { configurable: true,
		value: { mediaDevices: { getUserMedia: async () => media } } });
	const ua = new JsSIP.UA({ sockets: [new JsSIP.WebSocketInterface(url)], uri: `sip:${aor}`, password, session_timers: false });
	const options = { mediaStream: media, mediaConstraints: { audio: true } };
	const finish = () => { ua.once('unregistered', () => { say('done'); end(0); }); ua.unregister(); };
	ua.on('registrationFailed', (e) => { say(`refused ${e.response?.status_code ?? e.cause}`); end(1); });
	ua.on('disconnected', () => say('disconnected'));
	ua.once('registered', () => {
		say('registered');
		if (task === 'register') finish();
		if (callee) ua.call(callee, options);
	});
	ua.on('newRTCSession', ({ session }) => {
		session.on('confirmed', () => { say('talks'); if (callee) setTimeout(() => session.terminate(), 200); });
		session.on('failed', (e) => { say(`failed ${e.message?.status_code ?? e.cause}`); end(1); });
		session.on('ended', () => { say('ended'); finish(); });
		if (session.direction === 'incoming') { say('rings'); session.answer(options); }
	});
	ua.start();
}

async function sipjs() {
	const { UserAgent, Registerer, Inviter, SessionState, RegistererState } = await import('sip.js');
	// What SIP.js asks of a browser's media.
	const sessionDescriptionHandlerFactory = () => ({
		close() {}, hasDescription: (type) => type === 'application/sdp',
		async getDescription() { return { body: SDP, contentType: 'application/sdp' }; },
		async setDescription() {}, async holdModifier(it) { return it; }, async rollbackDescription() {},
		sendDtmf: () => false,
	});
	const watch = (session) => session.stateChange.addListener((state) => {
		if (state === SessionState.Established) { say('talks'); if (callee) setTimeout(() => session.bye(), 200); }
		if (state === SessionState.Terminated) { say('ended'); setTimeout(() => registerer.unregister(), 50); }
	});
	const ua = new UserAgent({
		uri: UserAgent.makeURI(`sip:${aor}`), authorizationUsername: user, authorizationPassword: password,
		transportOptions: { server: url }, sessionDescriptionHandlerFactory, logLevel: process.env.SIPJS_LOG ?? 'error',
		delegate: { onInvite(invitation) { say('rings'); watch(invitation); invitation.accept(); } },
	});
	await ua.start();
	const registerer = new Registerer(ua);
	let was = null;
	registerer.stateChange.addListener((state) => {
		if (state === RegistererState.Registered && was !== state) {
			say('registered');
			if (task === 'register') setTimeout(() => registerer.unregister(), 50);
			if (callee) {
				const inviter = new Inviter(ua, UserAgent.makeURI(callee));
				watch(inviter);
				inviter.invite({ requestDelegate: { onReject(r) { say(`failed ${r.message.statusCode}`); end(1); } } });
			}
		}
		if (state === RegistererState.Unregistered && was === RegistererState.Registered) { say('done'); end(0); }
		was = state;
	});
	await registerer.register({ requestDelegate: { onReject(r) { say(`refused ${r.message.statusCode}`); end(1); } } });
}

if (library === 'jssip') jssip(); else await sipjs();
