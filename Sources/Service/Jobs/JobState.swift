/// Where a job is between submission and deletion.
package enum JobState: String, CaseIterable, Codable, Sendable {
    /// Waiting for its turn, possibly with some steps already done.
    case queued
    case running
    /// Waiting to be resumed; its completed steps are kept.
    case paused
    case done
    case failed
    case cancelled

    /// Whether the state is final.
    package var isFinished: Bool {
        switch self {
        case .queued, .running, .paused: false
        case .done, .failed, .cancelled: true
        }
    }
}

/// A change of a job that a user requests. Pure: its effect on each state.
package enum JobRequestedChange: String, Codable, CaseIterable, Sendable {
    case cancel
    case pause
    case resume

    /// The effect of a change.
    package enum Effect: Equatable, Sendable {
        /// The job changes to this state immediately.
        case becomes(JobState)
        /// The render is stopped first, then the job changes to this state.
        case stopsRender(then: JobState)
        /// Nothing: the job already has the requested state.
        case none
        /// The state does not allow it.
        case refused(String)
    }

    /// - Parameter state: current state of the job
    /// - Returns: the effect
    package func effect(on state: JobState) -> Effect {
        switch (self, state) {
        case (.cancel, .queued), (.cancel, .paused): .becomes(.cancelled)
        case (.cancel, .running): .stopsRender(then: .cancelled)
        case (.cancel, .cancelled), (.pause, .paused), (.resume, .queued), (.resume, .running):
            .none
        case (.pause, .queued): .becomes(.paused)
        case (.pause, .running): .stopsRender(then: .paused)
        case (.resume, .paused): .becomes(.queued)
        case (_, .done): .refused("it is done")
        case (_, .failed): .refused("it has failed")
        case (_, .cancelled): .refused("it was cancelled")
        }
    }
}
