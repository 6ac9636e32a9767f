'use client'
import { Button } from '@/components/button'
import { Problem } from '@/components/feedback'
import { problemOf } from '@/lib/api'

export default function Failed({ error, reset }: { error: Error; reset: () => void }) {
  return (
    <div className="space-y-4">
      <Problem problem={problemOf(error)} title="This page failed. It is a fault of odigos-cp, not of what you did." />
      <Button onClick={reset}>Try again</Button>
    </div>
  )
}
