using Npad.Native;

namespace Npad
{
    /// <summary>What a threshold does.</summary>
    public readonly struct ThresholdEffect
    {
        internal ThresholdEffect(float threshold, ulong missed, double falseAlarmRate)
        {
            Threshold = threshold;
            Missed = checked((long)missed);
            FalseAlarmRate = falseAlarmRate;
        }

        /// <summary>The threshold, in the units of raw scores.</summary>
        public float Threshold { get; }

        /// <summary>Number of known defects that it misses.</summary>
        public long Missed { get; }

        /// <summary>Estimated share of good images above it, 0 to 1, from the scores of the model's held-out good
        /// images.</summary>
        public double FalseAlarmRate { get; }
    }

    /// <summary>What a model's known defects say about thresholds.</summary>
    public sealed class KnownDefects
    {
        internal KnownDefects(npad_known_defects known)
        {
            Count = checked((long)(ulong)known.count);
            InUse = new ThresholdEffect(known.threshold, (ulong)known.missed, known.false_alarm_rate);
            Rate = new ThresholdEffect(known.rate_threshold, (ulong)known.rate_missed, known.rate_false_alarm_rate);
            CatchAll = new ThresholdEffect(known.catch_all_threshold, 0, known.catch_all_false_alarm_rate);
            Cost = new ThresholdEffect(known.cost_threshold, (ulong)known.cost_missed, known.cost_false_alarm_rate);
        }

        /// <summary>Number of known defects.</summary>
        public long Count { get; }

        /// <summary>The model's threshold.</summary>
        public ThresholdEffect InUse { get; }

        /// <summary>The threshold of operating_point=rate.</summary>
        public ThresholdEffect Rate { get; }

        /// <summary>The threshold of operating_point=catch_all, which finds all known defects.</summary>
        public ThresholdEffect CatchAll { get; }

        /// <summary>The threshold of operating_point=cost.</summary>
        public ThresholdEffect Cost { get; }
    }
}
