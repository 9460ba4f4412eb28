// Sends and reads real messages with npm's iso_8583, a library that knows nothing of Switchyard. It writes 128-bit binary bitmaps,
// so it talks to the conduit of `prepaid87-binbitmap`.
//
// Usage: node iso_8583_client.js PORT
//
// Prints one line for each check that fails, and at the end 'N passed, N failed'.
'use strict';

const net = require('net');
const Iso8583 = require('iso_8583');

const WAIT_MS = 20000;
let stan = 500000;

// The library's own formats differ in two places: DE43 and DE54 are shorter there, and are not used here.
function element(tag, value) {
  return tag + String(value.length).padStart(3, '0') + value;
}

function readTags(text) {
  const found = {};
  while (text) {
    const length = Number(text.slice(2, 5));
    found[text.slice(0, 2)] = text.slice(5, 5 + length);
    text = text.slice(5 + length);
  }
  return found;
}

function sale(product, processing, amount, account, card) {
  const now = new Date().toISOString().replace(/[^0-9]/g, '');
  const request = {
    0: '0200',
    3: processing,
    4: String(amount).padStart(12, '0'),
    7: now.slice(4, 14),
    11: String(stan++).padStart(6, '0'),
    12: now.slice(8, 14),
    13: now.slice(4, 8),
    32: '100001',
    41: 'T0000031',
    42: 'SHOP00000000004',
    48: element('01', product) + (account ? element('02', account) : '') + element('04', 'till 8'),
    49: '978',
  };
  if (card) request[2] = card;
  return request;
}

function management(code) {
  const now = new Date().toISOString().replace(/[^0-9]/g, '');
  return { 0: '0800', 7: now.slice(4, 14), 11: String(stan++).padStart(6, '0'), 32: '100001', 70: code };
}

// A connection that asks one request at a time.
class Link {
  constructor(port) {
    this.input = Buffer.alloc(0);
    this.waiting = null;
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.setNoDelay(true);
    this.socket.setTimeout(WAIT_MS, () => this.fail(new Error('no answer in time')));
    this.socket.on('error', (error) => this.fail(error));
    this.socket.on('close', () => this.fail(new Error('the switch closed the connection')));
    this.socket.on('data', (data) => {
      this.input = Buffer.concat([this.input, data]);
      this.take();
    });
  }

  fail(error) {
    if (this.waiting) this.waiting.reject(error);
    this.waiting = null;
  }

  take() {
    if (this.input.length < 2 || this.input.length < 2 + this.input.readUInt16BE(0)) return;
    const end = 2 + this.input.readUInt16BE(0);
    const frame = this.input.subarray(0, end);
    this.input = this.input.subarray(end);
    const { resolve } = this.waiting;
    this.waiting = null;
    resolve(new Iso8583().getIsoJSON(frame));
  }

  ask(request) {
    const frame = new Iso8583(request).getBufferMessage();
    if (!Buffer.isBuffer(frame)) throw new Error(`the library cannot write it: ${JSON.stringify(frame)}`);
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.socket.write(frame);
    });
  }
}

const SALES = [
  ['a voucher from stock', () => sale('VOUCHER20', '000000', 2000), '00'],
  ['a voucher just in time', () => sale('VOUCHERJIT', '000000', 1500), '00'],
  ['a recharge at telco-a', () => sale('TOPUP', '210000', 1000, '0612345678'), '00'],
  ['a recharge at telco-b', () => sale('TOPUP', '210000', 1000, '0712345678'), '00'],
  ['a recharge with a fallback', () => sale('DATA5', '210000', 500, '0812345683'), '00'],
  ['a card', () => sale('GIFT25', '280000', 2500, '', '6006491234567811'), '00'],
  ['a bill', () => sale('ENERGY', '500000', 2000, '12345678901'), '00'],
  ['a stored-value account', () => sale('WALLET', '210000', 500, 'JS1'), '00'],
  ['a refusal', () => sale('TOPUP', '210000', 1000, '0712345680'), '05'],
  ['a silent supplier', () => sale('TOPUP', '210000', 1000, '0712345685'), '68'],
];
const ECHOED = ['3', '4', '7', '11', '12', '13', '32', '41', '42', '49'];

let passed = 0;
let failed = 0;

function check(what, good, seen) {
  if (good) {
    passed++;
  } else {
    failed++;
    console.log(`FAILED ${what}: ${JSON.stringify(seen)}`);
  }
}

async function checkSale(link, what, request, code) {
  const answer = await link.ask(request);
  check(what, answer[0] === '0210' && answer[39] === code, answer);
  check(`${what}, echoed`, ECHOED.every((de) => answer[de] === request[de]) && answer[2] === request[2], answer);
  const told = readTags(answer[48] || '');
  check(`${what}, third-party identifiers`, told['04'] === 'till 8', Object.keys(told));
  if (what.startsWith('a voucher')) check(`${what}, PIN`, (told['20'] || '').length === 16, Object.keys(told));
  const again = await link.ask({ ...request, 0: '0201' });
  check(`the repeat of ${what}`, JSON.stringify(again) === JSON.stringify(answer), again);
}

async function main() {
  const link = new Link(Number(process.argv[2]));
  for (const code of ['001', '301']) {
    const answer = await link.ask(management(code));
    check(`network management ${code}`, answer[0] === '0810' && answer[39] === '00', answer);
  }
  for (const [what, request, code] of SALES) await checkSale(link, what, request(), code);
  link.socket.destroy();
}

main()
  .catch((error) => check('the conversation', false, error.message))
  .finally(() => {
    console.log(`iso_8583: ${passed} passed, ${failed} failed`);
    process.exitCode = failed ? 1 : 0;
  });
