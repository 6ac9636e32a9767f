'use client'
/** What a destination takes a second: the difference of two readings of its counters. */
import { useEffect, useState } from 'react'
import type { DestinationView } from '@/lib/api.gen'

export interface Rates {
  spans: number
  metricPoints: number
  logRecords: number
}

const COUNTERS = ['spans', 'metricPoints', 'logRecords'] as const

interface Known {
  reading: DestinationView
  rates?: Rates
}

export function useRates(items: readonly DestinationView[]): ReadonlyMap<string, Rates> {
  const [known, setKnown] = useState<ReadonlyMap<string, Known>>(new Map())
  useEffect(() => {
    setKnown((before) => new Map(items.map((item) => [item.name, next(before.get(item.name), item)])))
  }, [items])
  return new Map([...known].flatMap(([name, { rates }]) => (rates ? [[name, rates] as const] : [])))
}

function next(before: Known | undefined, reading: DestinationView): Known {
  if (!before || before.reading.readAt === reading.readAt) return { reading, rates: before?.rates }
  const seconds = (Date.parse(reading.readAt) - Date.parse(before.reading.readAt)) / 1000
  const hasRestarted = COUNTERS.some((name) => reading[name] < before.reading[name])
  if (!(seconds > 0) || hasRestarted) return { reading }
  const rate = (name: (typeof COUNTERS)[number]) => (reading[name] - before.reading[name]) / seconds
  return { reading, rates: { spans: rate('spans'), metricPoints: rate('metricPoints'), logRecords: rate('logRecords') } }
}
