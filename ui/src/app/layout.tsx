import type { Metadata, Viewport } from 'next'
import type { ReactNode } from 'react'
import { Shell } from '@/shell/shell'
import { THEME_SCRIPT } from '@/shell/theme-script'
import './globals.css'

export const metadata: Metadata = {
  title: { default: 'odigos-cp', template: '%s · odigos-cp' },
  description: 'Instruments the applications of this cluster, and shows what becomes of it.',
}

export const viewport: Viewport = {
  themeColor: [
    { media: '(prefers-color-scheme: light)', color: '#ffffff' },
    { media: '(prefers-color-scheme: dark)', color: '#151920' },
  ],
}

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en" suppressHydrationWarning>
      <head>
        <script dangerouslySetInnerHTML={{ __html: THEME_SCRIPT }} />
      </head>
      <body>
        <Shell>{children}</Shell>
      </body>
    </html>
  )
}
