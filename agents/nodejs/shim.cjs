'use strict';
/*
 * The entry of the Node.js agent: NODE_OPTIONS="... --require /odigos-cp/nodejs/shim.cjs".
 *
 * It stands where the stock `register` would and differs in four ways, each a fault that stops real applications:
 * a Node.js too old for the SDK runs on untouched, ES modules are instrumented too, SIGTERM ends a process that has
 * no handler of its own, and no cloud metadata service is asked for anything. Whatever goes wrong here, the
 * application runs; one line on stderr says that it runs without telemetry. Old syntax: old Node.js reads this file.
 */
var FLUSH_MILLISECONDS = 2000;

// Preloads also run in the thread that Node.js keeps for module hooks: a second SDK there would count everything twice.
function inHooksThread() {
  var threads = require('worker_threads');
  return !threads.isMainThread && (threads.isInternalThread || process.argv[1] === undefined);
}

function supported() {
  var version = process.versions.node.split('.').map(Number);
  return version[0] >= 21 || (version[0] === 20 && version[1] >= 6) || (version[0] === 18 && version[1] >= 19);
}

// Only what an instrumentation can patch is intercepted: every other ES module is loaded by Node.js itself.
function instrumentImports(instrumentations) {
  var names = instrumentations.flatMap((one) => (one._modules || []).map((module) => module.name));
  var builtins = new Set(require('node:module').builtinModules);
  var packages = names.filter((name) => !builtins.has(name)).map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  var include = names.filter((name) => builtins.has(name)).concat(new RegExp('/node_modules/(' + packages.join('|') + ')/'));
  var here = require('node:url').pathToFileURL(__filename);
  require('node:module').register('@opentelemetry/instrumentation/hook.mjs', here, { data: { include: include } });
}

// True when the work was done in time. It holds the process while it waits, and no longer.
function inTime(work) {
  var timer;
  var late = new Promise((resolve) => { timer = setTimeout(resolve, FLUSH_MILLISECONDS, false); });
  return Promise.race([work.then(() => true, () => true), late]).finally(() => clearTimeout(timer));
}

function flush(providers) {
  return inTime(Promise.all(providers.map((one) => one.forceFlush && one.forceFlush())));
}

// A listener keeps SIGTERM from ending the process. So ours is there only while the application has none, and only
// where SIGTERM would have ended it: the kernel does not deliver an unhandled one to the first process of a container.
function endOnTerminate(send) {
  if (process.pid === 1) return;
  var end = () => send().then(() => {
    process.removeListener('SIGTERM', end);
    if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM');
  });
  var yielding = (name, listener) => {
    if (name !== 'SIGTERM' || listener === end) return;
    process.removeListener('newListener', yielding);
    process.removeListener('SIGTERM', end);
  };
  process.prependListener('newListener', yielding); // before Node.js's own, which then listens to the signal anew
  process.on('SIGTERM', end);
}

// What the SDK would ask of the cloud's metadata service and how long it would hold up an exit; the user's values win.
var DEFAULTS = { OTEL_NODE_RESOURCE_DETECTORS: 'env,host,os,process,container', OTEL_EXPORTER_OTLP_TIMEOUT: '2000' };

function start() {
  Object.keys(DEFAULTS).forEach((name) => { process.env[name] = process.env[name] || DEFAULTS[name]; });
  var auto = require('@opentelemetry/auto-instrumentations-node');
  var instrumentations = auto.getNodeAutoInstrumentations();
  instrumentImports(instrumentations);
  var Sdk = require('@opentelemetry/sdk-node').NodeSDK;
  var sdk = new Sdk({ instrumentations: instrumentations, resourceDetectors: auto.getResourceDetectors() });
  sdk.start();
  // A collector that does not even refuse would hold a finished program for minutes.
  process.once('beforeExit', () => inTime(sdk.shutdown()).then((done) => {
    if (!done && process.listenerCount('beforeExit') === 0) process.exit();
  }));
  var api = require('@opentelemetry/api');
  var logs = require('@opentelemetry/api-logs').logs;
  var providers = [api.trace.getTracerProvider().getDelegate(), api.metrics.getMeterProvider(), logs.getLoggerProvider()];
  if (require('node:worker_threads').isMainThread) endOnTerminate(() => flush(providers));
}

try {
  if (supported() && !inHooksThread()) start();
} catch (error) {
  process.stderr.write('odigos-cp: the application runs without telemetry: ' + (error && error.message) + '\n');
}
