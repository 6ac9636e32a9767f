'use client'
/**
 * Every link inside the UI. Nothing is fetched before it is clicked; and while the server is gone a click leaves the
 * page as it is, because the browser could only replace it by an error page of its own.
 */
import NextLink from 'next/link'
import type { ComponentProps } from 'react'
import { currentConnection } from '@/lib/live'

export const BANNER_ID = 'connection-banner'

export function Link({ onClick, ...rest }: Omit<ComponentProps<typeof NextLink>, 'prefetch'>) {
  return (
    <NextLink
      {...rest}
      prefetch={false}
      onClick={(event) => {
        if (currentConnection().phase === 'lost') {
          event.preventDefault()
          document.getElementById(BANNER_ID)?.focus()
          return
        }
        onClick?.(event)
      }}
    />
  )
}
