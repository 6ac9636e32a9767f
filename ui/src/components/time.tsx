'use client'
import { useNow } from '@/lib/clock'
import { ago } from '@/lib/format'

/** How long ago, with the exact time for who hovers; nothing where nobody knows. */
export function Ago({ at, prefix = '' }: { at: string; prefix?: string }) {
  const now = useNow()
  const text = now ? ago(at, now) : ''
  if (!text) return null
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()} className="whitespace-nowrap">
      {prefix}
      {text}
    </time>
  )
}
