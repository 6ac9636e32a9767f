'use client'
/** One clock for all times on a page, so that they turn together. */
import { useSyncExternalStore } from 'react'

const TURN_MILLIS = 5_000
let now = 0
let timer: ReturnType<typeof setInterval> | undefined
const watchers = new Set<() => void>()

function watch(watcher: () => void): () => void {
  watchers.add(watcher)
  if (timer === undefined) {
    now = Date.now()
    timer = setInterval(() => {
      now = Date.now()
      for (const each of watchers) each()
    }, TURN_MILLIS)
  }
  return () => {
    watchers.delete(watcher)
    if (watchers.size === 0) {
      clearInterval(timer)
      timer = undefined
    }
  }
}

function read(): number {
  if (now === 0) now = Date.now()
  return now
}

/** Milliseconds; 0 while the page is only HTML. */
export function useNow(): number {
  return useSyncExternalStore(watch, read, () => 0)
}
