'use client'
/** What the pages read: one query a topic, read again when the event stream says so, and while nobody looks not at all. */
import { QueryClient, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useSyncExternalStore } from 'react'
import { api, ApiProblem } from './api'
import { currentConnection, start, watchConnection, watchTopics, type Connection, type Topic } from './live'

/** A busy cluster changes several times a second; nobody reads faster than this. */
const CALM_MILLIS = 1_000
const SYNCING_MILLIS = 1_500

export function newQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: Number.POSITIVE_INFINITY,
        gcTime: 15 * 60_000,
        refetchOnWindowFocus: false,
        refetchOnReconnect: false,
        networkMode: 'always',
        retry: (count, error) => (error instanceof ApiProblem && error.isSyncing) || count < 1,
        retryDelay: (_, error) => (error instanceof ApiProblem && error.isSyncing ? SYNCING_MILLIS : 500),
      },
      mutations: { networkMode: 'always' },
    },
  })
}

/** Keeps every query as new as the cluster; used once, by the shell. */
export function useFreshness(): void {
  const client = useQueryClient()
  useEffect(() => {
    const due = new Set<Topic>()
    let calm: ReturnType<typeof setTimeout> | undefined

    function read(): void {
      calm = undefined
      if (document.visibilityState !== 'visible' || due.size === 0) return
      const topics = [...due]
      due.clear()
      calm = setTimeout(read, CALM_MILLIS)
      for (const topic of topics) void client.invalidateQueries({ queryKey: [topic] })
    }

    const unwatch = watchTopics((topics) => {
      for (const topic of topics) due.add(topic)
      if (calm === undefined) read()
    })
    document.addEventListener('visibilitychange', read)
    const stop = start()
    return () => {
      stop()
      unwatch()
      clearTimeout(calm)
      document.removeEventListener('visibilitychange', read)
    }
  }, [client])
}

const UNKNOWN: Connection = { phase: 'connecting', since: 0, heard: 0 }

export function useConnection(): Connection {
  return useSyncExternalStore(watchConnection, currentConnection, () => UNKNOWN)
}

export const useMeta = () => useQuery({ queryKey: ['meta'], queryFn: api.meta })
export const useSources = () => useQuery({ queryKey: ['sources'], queryFn: api.sources })
export const useDestinations = () => useQuery({ queryKey: ['destinations'], queryFn: api.destinations })
export const useCollectors = () => useQuery({ queryKey: ['collectors'], queryFn: api.collectors })
export const useDestinationTypes = () =>
  useQuery({ queryKey: ['destination-types'], queryFn: api.destinationTypes, staleTime: 60_000 })

export const useSource = (id: string) =>
  useQuery({
    queryKey: ['sources', id],
    queryFn: () => api.source(id),
    enabled: id !== '',
    retry: (count, error) => !(error instanceof ApiProblem && error.isMissing) && count < 20,
  })
