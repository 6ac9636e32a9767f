/**
 * Is what the pages show still true? One event stream for all tabs of a browser, and what is known of the connection.
 *
 * Browsers allow six connections to a host over HTTP/1.1, so a stream a tab would block the seventh tab. The tab that
 * holds the lock has the stream and tells the others over a BroadcastChannel; when it closes, the lock goes to the next.
 * Without locks (plain HTTP under a name that is not localhost) each tab has a stream of its own while it is visible.
 */
import type { ChangedEvent } from './api.gen'

export type Topic = ChangedEvent['topics'][number]
export const TOPICS: readonly Topic[] = ['sources', 'destinations', 'collectors', 'meta']

export type Phase = 'connecting' | 'live' | 'lost'
export interface Connection {
  phase: Phase
  /** When this phase began, and when the server was last heard, in milliseconds of the browser's clock. */
  since: number
  heard: number
}

const LOCK = 'odigos-cp-events'
const HEARTBEAT_MILLIS = 10_000
const PATIENCE_MILLIS = 5_000
const POLL_MILLIS = 5_000
const RETRY_MILLIS = 2_000

type Message =
  | { kind: 'connection'; connection: Connection }
  | { kind: 'changed'; topics: readonly Topic[] }
  | { kind: 'who' }
  | { kind: 'ask' }

let connection: Connection = { phase: 'connecting', since: 0, heard: 0 }
const watchers = new Set<() => void>()
const readers = new Set<(topics: readonly Topic[]) => void>()
let channel: BroadcastChannel | undefined
let leading = false
let tryNow: () => void = () => {}

export function currentConnection(): Connection {
  return connection
}

export function watchConnection(watcher: () => void): () => void {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

/** Calls back with the topics that are to be read again. */
export function watchTopics(reader: (topics: readonly Topic[]) => void): () => void {
  readers.add(reader)
  return () => readers.delete(reader)
}

/** Asks at once whether the server is there again, instead of at the next turn. */
export function askAgain(): void {
  if (leading) tryNow()
  else channel?.postMessage({ kind: 'ask' } satisfies Message)
}

/** Starts once a tab. */
export function start(): () => void {
  const stop = new AbortController()
  connection = { phase: 'connecting', since: Date.now(), heard: 0 }
  if (!('locks' in navigator) || typeof BroadcastChannel === 'undefined') {
    lead(stop.signal, true)
    return () => stop.abort()
  }
  channel = new BroadcastChannel(LOCK)
  channel.onmessage = (event: MessageEvent<Message>) => {
    const message = event.data
    if (message.kind === 'connection') become(message.connection)
    else if (message.kind === 'changed') tell(message.topics)
    else if (leading && message.kind === 'who') channel?.postMessage({ kind: 'connection', connection } satisfies Message)
    else if (leading && message.kind === 'ask') tryNow()
  }
  channel.postMessage({ kind: 'who' } satisfies Message)
  navigator.locks
    .request(LOCK, { signal: stop.signal }, () => {
      lead(stop.signal, false)
      return new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()))
    })
    .catch(() => {})
  return () => {
    stop.abort()
    channel?.close()
    channel = undefined
  }
}

function become(next: Connection): void {
  connection = next
  for (const watcher of watchers) watcher()
}

function tell(topics: readonly Topic[]): void {
  for (const reader of readers) reader(topics)
}

/** Holds the stream, and says to all tabs what it hears. */
function lead(signal: AbortSignal, onlyWhileVisible: boolean): void {
  let source: EventSource | undefined
  let again: ReturnType<typeof setTimeout> | undefined
  leading = true

  function say(phase: Phase): void {
    const now = Date.now()
    const heard = phase === 'live' ? now : connection.heard
    become({ phase, since: phase === connection.phase ? connection.since : now, heard })
    channel?.postMessage({ kind: 'connection', connection } satisfies Message)
  }

  function changed(topics: readonly Topic[]): void {
    tell(topics)
    channel?.postMessage({ kind: 'changed', topics } satisfies Message)
  }

  function open(): void {
    clearTimeout(again)
    source?.close()
    source = new EventSource('/api/events')
    source.addEventListener('hello', () => {
      say('live')
      changed(TOPICS)
    })
    source.addEventListener('changed', (event: MessageEvent<string>) => {
      say('live')
      changed((JSON.parse(event.data) as ChangedEvent).topics)
    })
    source.onerror = () => {
      const isRefused = source?.readyState === EventSource.CLOSED
      source?.close()
      void look(isRefused)
    }
  }

  /** The stream is gone. Is the server? One that has no stream left for us is read by the clock instead. */
  async function look(isRefused: boolean): Promise<void> {
    const isAlive = await isThere()
    if (signal.aborted) return
    if (!isAlive) say('lost')
    else if (isRefused) {
      say('live')
      changed(TOPICS)
    }
    clearTimeout(again)
    again = setTimeout(open, isAlive && isRefused ? POLL_MILLIS : RETRY_MILLIS)
  }

  /** A port-forward can die without a word: the stream stays open and silent. */
  const heartbeat = setInterval(async () => {
    if (connection.phase !== 'live') return
    if (await isThere()) say('live')
    else {
      source?.close()
      say('lost')
      clearTimeout(again)
      again = setTimeout(open, RETRY_MILLIS)
    }
  }, HEARTBEAT_MILLIS)

  function onVisibility(): void {
    if (document.visibilityState === 'visible') open()
    else if (onlyWhileVisible) source?.close()
  }
  if (onlyWhileVisible) document.addEventListener('visibilitychange', onVisibility)
  tryNow = open
  signal.addEventListener('abort', () => {
    leading = false
    tryNow = () => {}
    clearInterval(heartbeat)
    clearTimeout(again)
    source?.close()
    document.removeEventListener('visibilitychange', onVisibility)
  })
  open()
}

async function isThere(): Promise<boolean> {
  try {
    const answer = await fetch('/api/meta', { signal: AbortSignal.timeout(PATIENCE_MILLIS), cache: 'no-store' })
    return answer.ok
  } catch {
    return false
  }
}
